/** How often the round trip is measured. */
export const PING_INTERVAL_MS = 1_000;
/** Nothing came for this long: ask the server whether it still knows the session. */
export const DOUBT_MS = 2_500;
/** Nothing came for this long: the connection is lost, whatever the server says. */
export const SILENCE_MS = 10_000;

/** What a {@link Heartbeat} calls. */
export interface HeartbeatHandlers {
  /** Sends a ping; its answer must lead to {@link Heartbeat.heard}. */
  readonly ping: () => void;
  /** Asks the server, resolves to whether it still knows the session. */
  readonly probe: () => Promise<boolean>;
  readonly onLost: () => void;
}

/**
 * Notices a connection that is gone without a word. A killed server leaves no trace on the
 * connection for many seconds, but asked over HTTP it either does not answer or, after a restart,
 * does not know the session.
 */
export class Heartbeat {
  readonly #handlers: HeartbeatHandlers;
  readonly #now: () => number;
  #timer: ReturnType<typeof setInterval> | undefined;
  #heardAt: number;
  #probing = false;

  constructor(handlers: HeartbeatHandlers, now: () => number) {
    this.#handlers = handlers;
    this.#now = now;
    this.#heardAt = now();
    this.#timer = setInterval(this.#tick, PING_INTERVAL_MS / 2);
    this.#handlers.ping();
  }

  /** Something came from the server. */
  heard(): void {
    this.#heardAt = this.#now();
  }

  /** There is a reason to ask the server now. */
  doubt(): void {
    if (this.#probing || this.#timer === undefined) return;
    this.#probing = true;
    const since = this.#now();
    void this.#handlers
      .probe()
      .catch(() => false)
      .then((known) => {
        this.#probing = false;
        // What came meanwhile counts for more than the answer.
        if (!known && this.#heardAt <= since) this.#lose();
      });
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #beat = 0;

  readonly #tick = (): void => {
    const silence = this.#now() - this.#heardAt;
    if (silence >= SILENCE_MS) {
      this.#lose();
      return;
    }
    if (silence >= DOUBT_MS) this.doubt();
    if (++this.#beat % 2 === 0) this.#handlers.ping();
  };

  #lose(): void {
    if (this.#timer === undefined) return;
    this.stop();
    this.#handlers.onLost();
  }
}
