import type { ResultMessage } from '@remotemedia/client';
import type { Tracks } from './tracks.ts';

/** Results kept for whoever looks from the console; the oldest go. */
const MAX_RESULTS = 5_000;

/** A finished segment, in media time. */
export interface HookSegment {
  readonly participant: string;
  readonly stream: string;
  readonly startMs: number;
  readonly endMs: number;
}

/** Read-only access for debugging: `__remotemedia.segments()` and `.results()` give copies. */
export class Hook {
  #results: ResultMessage[] = [];

  constructor(tracks: Tracks) {
    const api = Object.freeze({
      segments: (): HookSegment[] =>
        tracks.all.flatMap(({ participant, stream, segments }) =>
          segments.flatMap(({ startMs, endMs }) => (endMs === undefined ? [] : [{ participant, stream, startMs, endMs }])),
        ),
      results: (): ResultMessage[] => structuredClone(this.#results),
    });
    Object.defineProperty(window, '__remotemedia', { value: api });
  }

  add(message: ResultMessage): void {
    this.#results.push(message);
    if (this.#results.length > 2 * MAX_RESULTS) this.#results = this.#results.slice(-MAX_RESULTS);
  }
}
