import { byId, copyFromButton, make, setText } from './dom.ts';
import type { EventRow } from './event-rows.ts';

/** Rows kept; the oldest goes. */
export const MAX_ROWS = 300;
/** Rows of one group closer than this are one row, whatever they say: nobody reads faster. */
const MERGE_MS = 400;

interface Shown {
  row: EventRow;
  readonly element: HTMLLIElement;
  count: number;
  at: number;
}

/** The list of events, newest first. */
export class EventList {
  readonly #scroller = byId('events', HTMLDivElement);
  readonly #list = byId('events-list', HTMLOListElement);
  readonly #empty = byId('events-empty', HTMLParagraphElement);
  readonly #count = byId('events-count', HTMLSpanElement);
  readonly #copy = byId('copy-events', HTMLButtonElement);
  /** Newest last. */
  #rows: Shown[] = [];

  constructor() {
    this.#copy.addEventListener('click', () => void copyFromButton(this.#copy, this.jsonLines()));
  }

  add(row: EventRow, now: number): void {
    const same = this.#latest(row.group);
    const isNewest = same !== undefined && same === this.#rows.at(-1);
    if (same && ((isNewest && same.row.shape === row.shape) || now - same.at < MERGE_MS)) {
      same.count += 1;
      same.row = { ...row, time: same.row.time };
      setText(same.element.querySelector('span') ?? same.element, `${row.detail} ×${same.count}`);
      return;
    }
    const element = render(row);
    // Reading further down, the reader keeps the place.
    const top = this.#scroller.scrollTop;
    this.#list.prepend(element);
    if (top > 0) this.#scroller.scrollTop = top + element.offsetHeight;
    this.#rows.push({ row, element, count: 1, at: now });
    if (this.#rows.length > MAX_ROWS) this.#rows.shift()?.element.remove();
    this.#update();
  }

  /** The messages as they came, oldest first. */
  jsonLines(): string {
    return this.#rows.map(({ row }) => row.json).join('\n') + '\n';
  }

  clear(): void {
    this.#rows = [];
    this.#list.replaceChildren();
    this.#update();
  }

  /** The row that one of this group may go into: none from before the user sent something. */
  #latest(group: string | undefined): Shown | undefined {
    if (group === undefined) return undefined;
    const shown = this.#rows.findLast(({ row }) => row.kind === 'sent' || row.group === group);
    return shown?.row.kind === 'sent' ? undefined : shown;
  }

  #update(): void {
    this.#empty.hidden = this.#rows.length > 0;
    this.#scroller.hidden = this.#rows.length === 0;
    this.#copy.disabled = this.#rows.length === 0;
    setText(this.#count, this.#rows.length > 0 ? String(this.#rows.length) : '');
  }
}

function render({ kind, time, title, detail, long }: EventRow): HTMLLIElement {
  const element = make(
    'li',
    { className: `event ${kind}` },
    make('time', { text: time }),
    make('b', { text: title }),
    make('span', { text: detail }),
  );
  element.dataset['testid'] = 'event';
  if (long) {
    element.append(make('details', {}, make('summary', { text: 'Traceback' }), make('pre', { text: long })));
  }
  return element;
}
