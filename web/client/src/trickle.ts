import type { TrickleCandidate } from './http.ts';

/** Candidates that come together leave together. */
const GATHER_MS = 20;
/** The server takes at most 64 a peer; more would only be refused. */
const MAX_CANDIDATES = 60;

/**
 * Sends local candidates as they are found (RFC 8838), in few requests: those found before the
 * answer wait for its `pc_id`, later ones for a moment so that neighbours share a request.
 */
export class Trickle {
  readonly #send: (candidates: TrickleCandidate[]) => Promise<void>;
  readonly #onError: (error: unknown) => void;
  #queue: TrickleCandidate[] = [];
  #count = 0;
  #open = false;
  #closed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sending: Promise<void> = Promise.resolve();

  constructor(
    send: (candidates: TrickleCandidate[]) => Promise<void>,
    onError: (error: unknown) => void,
  ) {
    this.#send = send;
    this.#onError = onError;
  }

  /** Takes what `onicecandidate` gave; null is the end. */
  add(candidate: RTCIceCandidate | null): void {
    if (this.#closed || (candidate !== null && ++this.#count > MAX_CANDIDATES)) return;
    this.#queue.push({
      candidate: candidate?.candidate ?? '',
      sdp_mid: candidate?.sdpMid ?? null,
      sdp_mline_index: candidate?.sdpMLineIndex ?? null,
    });
    if (this.#open) this.#timer ??= setTimeout(this.#flush, GATHER_MS);
  }

  /** The answer is here: what waited goes at once. */
  open(): void {
    this.#open = true;
    this.#flush();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#queue = [];
  }

  readonly #flush = (): void => {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#closed || this.#queue.length === 0) return;
    const batch = this.#queue;
    this.#queue = [];
    // One request at a time keeps their order, so that the end stays the end.
    this.#sending = this.#sending
      .then(() => (this.#closed ? undefined : this.#send(batch)))
      .catch(this.#onError);
  };
}
