import type { ResultMessage, SessionInfo } from '@remotemedia/client';
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

/** Read-only access for debugging: `__remotemedia.session()`, `.segments()` and `.results()` give copies. */
export class Hook {
  #results: ResultMessage[] = [];
  #session: SessionInfo | undefined;

  constructor(tracks: Tracks) {
    const api = Object.freeze({
      session: (): SessionInfo | undefined => structuredClone(this.#session),
      segments: (): HookSegment[] =>
        tracks.all.flatMap(({ participant, stream, segments }) =>
          segments.flatMap(({ startMs, endMs }) => (endMs === undefined ? [] : [{ participant, stream, startMs, endMs }])),
        ),
      results: (): ResultMessage[] => structuredClone(this.#results),
    });
    Object.defineProperty(window, '__remotemedia', { value: api });
  }

  /** Results are those of this session from now on. */
  begin(session: SessionInfo): void {
    this.#session = session;
    if (session.isNew) this.#results = [];
  }

  add(message: ResultMessage): void {
    this.#results.push(message);
    if (this.#results.length > 2 * MAX_RESULTS) this.#results = this.#results.slice(-MAX_RESULTS);
  }
}
