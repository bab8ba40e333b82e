/** Sequence numbers remembered. At 100 results a second that is 40 s, longer than a stalled channel lives. */
export const REMEMBERED = 4_096;

/**
 * Tells the second copy of an event from the first. Events are sent on both channels with the same
 * `seq`; when full, the oldest number is forgotten.
 */
export class SeenSeqs {
  readonly #seen = new Set<number>();

  /** Whether `seq` is new; it is not the next time. */
  isNew(seq: number): boolean {
    if (this.#seen.has(seq)) return false;
    this.#seen.add(seq);
    if (this.#seen.size > REMEMBERED) {
      const oldest = this.#seen.values().next();
      if (!oldest.done) this.#seen.delete(oldest.value);
    }
    return true;
  }

  clear(): void {
    this.#seen.clear();
  }
}
