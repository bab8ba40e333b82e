import type { PipelineInfo } from '@remotemedia/client';
import { byId, make } from './dom.ts';

/** Takes what was typed. It is put back where it could not be sent. */
export type DataHandler = (data: unknown, node: string | undefined) => Promise<void>;

/** Where data is typed, for pipelines that take some. */
export class DataField {
  readonly #panel = byId('data', HTMLDetailsElement);
  readonly #text = byId('data-text', HTMLInputElement);
  readonly #send = byId('send', HTMLButtonElement);
  readonly #takerField = byId('taker-field', HTMLLabelElement);
  readonly #taker = byId('taker', HTMLSelectElement);

  constructor(onSend: DataHandler) {
    byId('data-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      const text = this.#text.value;
      if (text === '') return;
      this.#text.value = '';
      onSend(readData(text), this.#takerField.hidden ? undefined : this.#taker.value).catch(() => {
        // Whoever types on keeps what they typed.
        if (this.#text.value === '') this.#text.value = text;
      });
    });
  }

  /** There where the pipeline takes data; open where it takes nothing else. */
  set pipeline(info: PipelineInfo | undefined) {
    const { takesData = [], takesAudio } = info ?? {};
    this.#panel.hidden = takesData.length === 0;
    this.#panel.open = takesAudio === 'none';
    this.#panel.classList.toggle('only', takesAudio === 'none');
    this.#takerField.hidden = takesData.length < 2;
    this.#taker.replaceChildren(
      ...takesData.map((name) => {
        const option = make('option', { text: name });
        option.value = name;
        return option;
      }),
    );
  }

  set isLive(isLive: boolean) {
    this.#send.disabled = !isLive;
    this.#send.title = isLive ? '' : 'Once the session is live';
  }
}

/** What was typed: JSON, or else text. */
export function readData(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
