/**
 * The latest values over time, in time order, in a fixed amount of memory. The oldest goes when it
 * is full.
 */
export class Series {
  readonly #times: Float64Array;
  readonly #values: Float32Array;
  readonly #capacity: number;
  readonly #width: number;
  #start = 0;
  #length = 0;

  /** `width` values a point. */
  constructor(capacity: number, width: number) {
    this.#capacity = capacity;
    this.#width = width;
    this.#times = new Float64Array(capacity);
    this.#values = new Float32Array(capacity * width);
  }

  get length(): number {
    return this.#length;
  }

  /** Adds a point. One that comes late (the live channel has no order) is put where it belongs. */
  push(time: number, ...values: number[]): void {
    if (this.#length === this.#capacity) {
      if (time < this.time(0)) return;
      this.#start = (this.#start + 1) % this.#capacity;
      this.#length -= 1;
    }
    let at = this.#length;
    this.#length += 1;
    for (; at > 0 && this.time(at - 1) > time; at -= 1) this.#move(at - 1, at);
    const slot = this.#slot(at);
    this.#times[slot] = time;
    for (let k = 0; k < this.#width; k += 1) this.#values[slot * this.#width + k] = values[k] ?? 0;
  }

  time(index: number): number {
    return this.#times[this.#slot(index)] ?? Number.NaN;
  }

  value(index: number, which = 0): number {
    return this.#values[this.#slot(index) * this.#width + which] ?? Number.NaN;
  }

  /** The first index whose time is at least `time`; `length` when there is none. */
  lowerBound(time: number): number {
    let low = 0;
    let high = this.#length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.time(middle) < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The last index at or before `time`, no older than `maxAge`; -1 when there is none. */
  at(time: number, maxAge: number): number {
    let index = this.lowerBound(time);
    if (index === this.#length || this.time(index) > time) index -= 1;
    return index >= 0 && time - this.time(index) <= maxAge ? index : -1;
  }

  clear(): void {
    this.#start = 0;
    this.#length = 0;
  }

  /** A copy that later points leave alone. */
  clone(): Series {
    const copy = new Series(this.#capacity, this.#width);
    copy.#times.set(this.#times);
    copy.#values.set(this.#values);
    copy.#start = this.#start;
    copy.#length = this.#length;
    return copy;
  }

  #slot(index: number): number {
    return (this.#start + index) % this.#capacity;
  }

  #move(from: number, to: number): void {
    const [a, b] = [this.#slot(from), this.#slot(to)];
    this.#times[b] = this.#times[a] ?? 0;
    this.#values.copyWithin(b * this.#width, a * this.#width, (a + 1) * this.#width);
  }
}
