/** Values of the last seconds, in a fixed amount of memory. */
export class RecentValues {
  readonly #spanMs: number;
  readonly #times: Float64Array;
  readonly #values: Float64Array;
  #next = 0;
  #count = 0;

  /** When more than `capacity` come within the span, the oldest go. */
  constructor(spanMs: number, capacity: number) {
    this.#spanMs = spanMs;
    this.#times = new Float64Array(capacity);
    this.#values = new Float64Array(capacity);
  }

  add(now: number, value: number): void {
    this.#times[this.#next] = now;
    this.#values[this.#next] = value;
    this.#next = (this.#next + 1) % this.#times.length;
    this.#count = Math.min(this.#count + 1, this.#times.length);
  }

  /** Those still within the span. */
  values(now: number): number[] {
    const values: number[] = [];
    for (let i = 0; i < this.#count; i += 1) {
      if (now - (this.#times[i] ?? 0) <= this.#spanMs) values.push(this.#values[i] ?? 0);
    }
    return values;
  }

  clear(): void {
    this.#count = this.#next = 0;
  }
}

/** The value below which the share `q` of them lies (nearest rank); undefined of none. */
export function quantile(values: readonly number[], q: number): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)];
}
