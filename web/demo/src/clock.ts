/** Observations a bucket; the smallest of the last two buckets counts, so 4 to 8 s at 25 to 50 a second. */
const BUCKET = 100;
/** How fast the shown clock may follow the measured one: 2 % is not seen. */
const SLEW = 0.02;
/** Beyond this it is another timeline, not drift. */
const JUMP_MS = 500;

/**
 * Maps the page's clock to media time, evenly. Results come with jitter; the one that was least
 * delayed says where media time stands, and the shown clock glides there instead of jumping.
 */
export class MediaClock {
  #current = Number.POSITIVE_INFINITY;
  #previous = Number.POSITIVE_INFINITY;
  #count = 0;
  #shown: number | undefined;
  #shownAt = 0;

  /** A result of the window that starts at `ptsMs` came at `nowMs`, `latencyMs` after its last packet. */
  observe(nowMs: number, ptsMs: number, latencyMs: number): void {
    this.#current = Math.min(this.#current, nowMs - ptsMs - latencyMs);
    this.#count += 1;
    if (this.#count >= BUCKET) {
      this.#previous = this.#current;
      this.#current = Number.POSITIVE_INFINITY;
      this.#count = 0;
    }
  }

  /** Whether anything was observed. */
  get isSet(): boolean {
    return Number.isFinite(Math.min(this.#current, this.#previous));
  }

  /** Media time at `nowMs`: where the newest window begins. */
  at(nowMs: number): number {
    const target = Math.min(this.#current, this.#previous);
    if (!Number.isFinite(target)) return Number.NaN;
    if (this.#shown === undefined || Math.abs(target - this.#shown) > JUMP_MS) {
      this.#shown = target;
    } else {
      const most = SLEW * Math.max(0, nowMs - this.#shownAt);
      this.#shown += Math.max(-most, Math.min(most, target - this.#shown));
    }
    this.#shownAt = nowMs;
    return nowMs - this.#shown;
  }
}
