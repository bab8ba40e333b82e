import { draw, formatTime, type Frame, type Theme } from './draw.ts';
import { freeze, readView, SPAN_MS, type Reading, type View } from './view.ts';

/** With less motion the picture moves in steps of this length. */
const STEP_MS = 1_000;
/** How far an arrow key goes; with Shift ten times as far. */
const KEY_MS = 100;

/** What a {@link Timeline} asks and tells. */
export interface TimelineHandlers {
  /** The view of this moment; undefined while there is nothing to see. */
  readonly view: (now: number) => View | undefined;
  /** At most once a frame: the values at the cursor, or the newest. */
  readonly onRead: (reading: Reading | undefined, isCursor: boolean) => void;
  readonly onPause: (isPaused: boolean) => void;
}

/** The picture of the last 20 seconds: draws at the screen's rate, pauses, reads values. */
export class Timeline {
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  readonly #handlers: TimelineHandlers;
  readonly #stillness = matchMedia('(prefers-reduced-motion: reduce)');
  #theme: Theme;
  #frame: Frame = { width: 0, height: 0 };
  #isRunning = false;
  #requested = false;
  #frozen: View | undefined;
  #latest: View | undefined;
  #steppedAt = 0;
  /** Distance of the cursor from the right edge. */
  #cursorMs: number | undefined;

  constructor(canvas: HTMLCanvasElement, handlers: TimelineHandlers) {
    const context = canvas.getContext('2d');
    if (!context) throw new Error('this browser draws no canvas');
    this.#canvas = canvas;
    this.#context = context;
    this.#handlers = handlers;
    this.#theme = readTheme();
    new ResizeObserver(this.#onResize).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.#theme = readTheme();
      this.#request();
    });
    this.#listen();
  }

  /** Moves while `isRunning`; otherwise keeps what it shows. */
  set running(isRunning: boolean) {
    this.#isRunning = isRunning;
    this.#request();
  }

  get isPaused(): boolean {
    return this.#frozen !== undefined;
  }

  /** Freezes the picture, or goes on with what is now. */
  pause(isPaused: boolean): void {
    const view = isPaused ? this.#latest : undefined;
    this.#frozen = view && freeze(view);
    this.#handlers.onPause(this.isPaused);
    this.#request();
  }

  /** Forgets everything. */
  reset(): void {
    this.#latest = undefined;
    this.pause(false);
  }

  #request(): void {
    if (this.#requested) return;
    this.#requested = true;
    requestAnimationFrame(this.#onFrame);
  }

  readonly #onFrame = (now: number): void => {
    this.#requested = false;
    if (this.#isRunning) {
      const view = this.#handlers.view(now);
      if (!this.#stillness.matches || now - this.#steppedAt >= STEP_MS) {
        this.#latest = view;
        this.#steppedAt = now;
      }
      this.#request();
    }
    this.#paint();
  };

  #paint(): void {
    const view = this.#frozen ?? this.#latest;
    const cursor = view && this.#cursorMs !== undefined ? view.endMs - this.#cursorMs : undefined;
    draw(this.#context, this.#frame, this.#theme, view, cursor);
    const reading = view && readView(view, cursor ?? view.endMs);
    this.#handlers.onRead(reading, cursor !== undefined);
    if (cursor !== undefined && reading && document.activeElement === this.#canvas) this.#announce(reading);
  }

  readonly #onResize = (entries: ResizeObserverEntry[]): void => {
    const box = entries.at(-1)?.contentRect;
    if (!box || box.width === 0) return;
    const ratio = devicePixelRatio;
    this.#frame = { width: box.width, height: box.height };
    this.#canvas.width = Math.round(box.width * ratio);
    this.#canvas.height = Math.round(box.height * ratio);
    this.#context.setTransform(ratio, 0, 0, ratio, 0, 0);
    // A new size clears the canvas: paint before it is shown.
    this.#paint();
  };

  #listen(): void {
    const follow = ({ offsetX }: PointerEvent): void => {
      this.#moveCursor((1 - offsetX / this.#frame.width) * SPAN_MS);
    };
    this.#canvas.addEventListener('pointermove', follow);
    this.#canvas.addEventListener('pointerdown', follow);
    this.#canvas.addEventListener('pointerleave', () => {
      this.#moveCursor(undefined);
    });
    this.#canvas.addEventListener('blur', () => {
      this.#moveCursor(undefined);
    });
    this.#canvas.addEventListener('keydown', (event) => {
      if (this.#onKey(event)) event.preventDefault();
    });
  }

  #onKey({ key, shiftKey }: KeyboardEvent): boolean {
    const step = shiftKey ? 10 * KEY_MS : KEY_MS;
    const at = this.#cursorMs ?? 0;
    if (key === 'ArrowLeft') this.#moveCursor(at + step);
    else if (key === 'ArrowRight') this.#moveCursor(at - step);
    else if (key === 'Home') this.#moveCursor(SPAN_MS);
    else if (key === 'End') this.#moveCursor(0);
    else if (key === 'Escape') this.#moveCursor(undefined);
    else if (key === ' ') this.pause(!this.isPaused);
    else return false;
    return true;
  }

  #moveCursor(ms: number | undefined): void {
    this.#cursorMs = ms === undefined ? undefined : Math.max(0, Math.min(SPAN_MS, ms));
    this.#canvas.setAttribute('aria-valuenow', String(-(this.#cursorMs ?? 0) / 1_000));
    this.#request();
  }

  #announced = '';

  #announce({ timeMs, levelDbfs, probability, segment }: Reading): void {
    // While it moves the text would change sixty times a second: it is told by steps of the cursor.
    const place = `${this.#cursorMs ?? 0}${this.isPaused}`;
    if (place === this.#announced) return;
    this.#announced = place;
    const parts = [
      formatTime(timeMs),
      probability === undefined ? '' : `probability ${probability.toFixed(2)}`,
      levelDbfs === undefined ? '' : `level ${levelDbfs.toFixed(0)} dBFS`,
      segment ? `speech, ${(segment.lengthMs / 1_000).toFixed(2)} seconds` : 'no speech',
    ];
    this.#canvas.setAttribute('aria-valuetext', parts.filter(Boolean).join(', '));
  }
}

function readTheme(): Theme {
  const style = getComputedStyle(document.documentElement);
  const token = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: token('ink-soft'),
    rule: token('rule'),
    ruleSoft: token('rule-soft'),
    level: token('level'),
    peak: token('peak'),
    probability: token('probability'),
    threshold: token('threshold'),
    speech: token('speech'),
    speechWash: token('speech-wash'),
    speechInk: token('speech-ink'),
    sunken: token('sunken'),
    font: `11px ${token('mono')}`,
  };
}
