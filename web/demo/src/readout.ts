import { byId, setText } from './dom.ts';
import { formatTime } from './draw.ts';
import type { Reading } from './view.ts';

const QUIET_MS = 100;

/** The line above the picture: the values at the cursor, or the newest. */
export class Readout {
  readonly #time = byId('read-time', HTMLOutputElement);
  readonly #level = byId('read-level', HTMLOutputElement);
  readonly #probability = byId('read-probability', HTMLOutputElement);
  readonly #threshold = byId('read-threshold', HTMLOutputElement);
  readonly #speech = byId('read-speech', HTMLOutputElement);

  #shownAt = Number.NEGATIVE_INFINITY;

  constructor() {
    // An output is a live region by itself: sixty times a second would be a flood.
    for (const output of [this.#time, this.#level, this.#probability, this.#threshold, this.#speech]) {
      output.setAttribute('aria-live', 'off');
    }
  }

  set threshold(value: number | undefined) {
    setText(this.#threshold, value?.toFixed(2) ?? '–');
  }

  show(reading: Reading | undefined, isCursor: boolean, now: number): void {
    // At a cursor every value counts; those that run along would only flicker.
    if (!isCursor && reading && now - this.#shownAt < QUIET_MS) return;
    this.#shownAt = now;
    setText(this.#time, reading ? formatTime(reading.timeMs) : 'now');
    this.#time.classList.toggle('cursor', isCursor);
    setText(this.#level, reading?.levelDbfs === undefined ? '–' : `${reading.levelDbfs.toFixed(1).replace('-', '−')} dBFS`);
    setText(this.#probability, reading?.probability?.toFixed(3) ?? '–');
    const segment = reading?.segment;
    setText(this.#speech, segment ? `${(segment.lengthMs / 1_000).toFixed(2)} s${segment.isOpen ? ' …' : ''}` : '–');
  }
}
