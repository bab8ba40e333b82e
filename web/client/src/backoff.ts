/** How long to wait between attempts. */
export interface BackoffOptions {
  /** Before the first retry, in milliseconds. */
  readonly initialMs: number;
  /** The longest wait. A server that is back is found within this. */
  readonly maxMs: number;
}

/** Short enough that a server that is back has its session within 5 s, set-up included. */
export const DEFAULT_BACKOFF: BackoffOptions = { initialMs: 250, maxMs: 2_000 };

/**
 * Exponential waits with jitter: half of each is fixed, half random, so that many pages which lost
 * the same server do not come back at the same moment.
 */
export class Backoff {
  readonly #options: BackoffOptions;
  readonly #random: () => number;
  #attempts = 0;

  constructor(options: BackoffOptions, random: () => number) {
    this.#options = options;
    this.#random = random;
  }

  /** The next wait in milliseconds; never less than what the server asked for. */
  next(retryAfterMs = 0): number {
    const { initialMs, maxMs } = this.#options;
    const ceiling = Math.min(maxMs, initialMs * 2 ** Math.min(this.#attempts, 16));
    this.#attempts += 1;
    const wait = ceiling * (0.5 + 0.5 * this.#random());
    return retryAfterMs > 0 ? retryAfterMs + wait / 2 : wait;
  }

  reset(): void {
    this.#attempts = 0;
  }
}
