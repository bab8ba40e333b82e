import { connect, type ClientError, type MediaInput, type MediaSource, type ResultMessage, type Session, type SessionInfo } from '@remotemedia/client';
import type { PageState } from './words.ts';

/** What a {@link Runner} tells the page. */
export interface RunnerHandlers {
  readonly onState: (state: PageState) => void;
  readonly onSession: (session: SessionInfo) => void;
  readonly onResult: (message: ResultMessage) => void;
  readonly onFault: (error: ClientError) => void;
  readonly onRoundTrip: (ms: number) => void;
  readonly onMedia: (media: MediaSource) => void;
  readonly onAudio: (audio: MediaStream) => void;
}

/** At most one session at a time: a new one ends the one before. */
export class Runner {
  readonly #handlers: RunnerHandlers;
  #session: Session | undefined;

  constructor(handlers: RunnerHandlers) {
    this.#handlers = handlers;
  }

  get session(): Session | undefined {
    return this.#session;
  }

  /** Whether there is something to stop. */
  get isActive(): boolean {
    const state = this.#session?.state;
    return state !== undefined && state.name !== 'ended' && (state.name !== 'failed' || state.retryAt !== undefined);
  }

  start(pipeline: string, join: string | undefined, media: MediaInput): void {
    this.stop();
    const session = connect({ url: location.origin, pipeline, media, ...(join === undefined ? {} : { join }) });
    this.#session = session;
    // A session that was replaced is silent.
    const mine = <T>(handler: (event: T) => void) => (event: T): void => {
      if (this.#session === session) handler(event);
    };
    session.on('state', mine(this.#handlers.onState));
    session.on('session', mine(this.#handlers.onSession));
    session.on('result', mine(this.#handlers.onResult));
    session.on('fault', mine(this.#handlers.onFault));
    session.on('roundtrip', mine(({ ms }: { ms: number }) => {
      this.#handlers.onRoundTrip(ms);
    }));
    session.on('media', mine(this.#handlers.onMedia));
    session.on('audio', mine(this.#handlers.onAudio));
  }

  /** Sends something else; the session stays. */
  async replace(media: MediaInput): Promise<void> {
    await this.#session?.replaceMedia(media);
  }

  stop(): void {
    this.#session?.close();
  }
}
