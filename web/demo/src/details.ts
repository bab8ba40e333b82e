import { byId, copyFromButton, make, setText } from './dom.ts';

/** A name and its value; rows without a value are left out. */
export type DetailRow = readonly [name: string, value: string | number | undefined];

/** The dialog with everything about the connection. */
export class Details {
  readonly #dialog = byId('details', HTMLDialogElement);
  readonly #list = byId('details-list', HTMLDListElement);
  readonly #copy = byId('copy-details', HTMLButtonElement);
  readonly #rows: () => DetailRow[];
  /** Of the rows that are shown. */
  #names = '';

  constructor(rows: () => DetailRow[]) {
    this.#rows = rows;
    this.#copy.addEventListener('click', () => {
      const text = this.#known().map(([name, value]) => `${name}: ${value}`).join('\n');
      void copyFromButton(this.#copy, `${text}\n`);
    });
    this.#dialog.addEventListener('click', (event) => {
      // The dialog itself is hit only on its backdrop or padding.
      if (event.target === this.#dialog && !isInside(this.#dialog, event)) this.#dialog.close();
    });
  }

  open(): void {
    this.#render();
    this.#dialog.showModal();
  }

  /** Refreshes an open dialog. */
  refresh(): void {
    if (this.#dialog.open) this.#render();
  }

  #render(): void {
    const rows = this.#known();
    const values = [...this.#list.querySelectorAll('dd')];
    const names = rows.map(([name]) => name).join();
    if (names !== this.#names) {
      this.#names = names;
      this.#list.replaceChildren(
        ...rows.flatMap(([name, value]) => [make('dt', { text: name }), make('dd', { text: String(value) })]),
      );
      return;
    }
    // What stays the same is left alone, so that it can be selected.
    rows.forEach(([, value], i) => {
      const element = values[i];
      if (element) setText(element, String(value));
    });
  }

  #known(): DetailRow[] {
    return this.#rows().filter(([, value]) => value !== undefined && value !== '');
  }
}

function isInside(element: Element, { clientX, clientY }: MouseEvent): boolean {
  const box = element.getBoundingClientRect();
  return clientX >= box.left && clientX <= box.right && clientY >= box.top && clientY <= box.bottom;
}
