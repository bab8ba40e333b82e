import { byId, make, setText } from './dom.ts';

/** Every figure: its id, name and unit. */
const FIGURES = [
  ['connection', 'Connection', ''],
  ['roundtrip', 'Round trip', 'ms'],
  ['latency', 'Latency p50 / p95', 'ms'],
  ['jitter', 'Jitter', 'ms'],
  ['loss', 'Loss', '%'],
  ['concealed', 'Concealed', 'frames'],
  ['results', 'Results', '/s'],
] as const;

export type FigureId = (typeof FIGURES)[number][0];
export type FigureValues = Readonly<Record<FigureId, string | undefined>>;

/** The row of figures. Each is a button that opens the details. */
export class Figures {
  readonly #values = new Map<FigureId, HTMLElement>();
  readonly #units = new Map<FigureId, HTMLElement>();

  constructor(onOpen: () => void) {
    const row = byId('figures', HTMLElement);
    for (const [id, name, unit] of FIGURES) {
      const value = make('b', { text: '–' });
      const small = make('small', { text: unit });
      small.hidden = true;
      const number = make('span', { className: 'number' }, value, small);
      const button = make('button', { className: 'figure' }, make('span', { text: name }), number);
      button.type = 'button';
      button.dataset['testid'] = `figure-${id}`;
      button.title = 'Details of the connection';
      button.setAttribute('aria-haspopup', 'dialog');
      button.addEventListener('click', onOpen);
      this.#values.set(id, value);
      this.#units.set(id, small);
      row.append(button);
    }
  }

  /** An undefined value is not known (yet). */
  show(values: FigureValues): void {
    for (const [id, element] of this.#values) {
      const value = values[id];
      setText(element, value ?? '–');
      const unit = this.#units.get(id);
      if (unit) unit.hidden = value === undefined;
    }
  }
}
