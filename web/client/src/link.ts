import type { Environment } from './environment.ts';
import { ClientError } from './errors.ts';
import type { Api } from './http.ts';
import { welcomeStereo } from './sdp.ts';
import { Trickle } from './trickle.ts';

/** How long negotiation, ICE, DTLS and the channel may take together. */
export const SETUP_TIMEOUT_MS = 10_000;
/** After this a result of one window is worth nothing: the next is here. */
export const LIVE_LIFETIME_MS = 250;

/** What a {@link Link} tells its session. */
export interface LinkHandlers {
  /** One text from either channel. */
  readonly onText: (text: string, isLive: boolean) => void;
  /** The connection broke; called at most once, never before {@link Link.open} resolved. */
  readonly onLost: (error: ClientError) => void;
  /** The path may be gone: worth asking the server. */
  readonly onDoubt: () => void;
}

/** What to ask the server for. */
export interface LinkRequest {
  readonly pipeline: string;
  readonly join: string | undefined;
  readonly tracks: readonly MediaStreamTrack[];
  readonly stream: MediaStream | undefined;
  readonly hear: boolean;
  readonly live: boolean;
  readonly configuration: RTCConfiguration;
}

/** One peer connection, from offer to close. It is never revived: the next is a new one. */
export class Link {
  readonly peer: RTCPeerConnection;
  readonly #results: RTCDataChannel;
  readonly #trickle: Trickle;
  readonly #abort = new AbortController();
  readonly #handlers: LinkHandlers;
  readonly #senders: RTCRtpSender[] = [];
  #audio: MediaStream | undefined;
  #state: 'opening' | 'open' | 'closed' = 'opening';
  #pcId = '';
  #sessionId = '';
  #setupMs = 0;
  #failOpening: ((error: ClientError) => void) | undefined;

  get pcId(): string {
    return this.#pcId;
  }

  get sessionId(): string {
    return this.#sessionId;
  }

  /** From the beginning of the offer to the open channel. */
  get setupMs(): number {
    return this.#setupMs;
  }

  /** What the server sends back; known once it is open. */
  get audio(): MediaStream | undefined {
    return this.#audio;
  }

  /** Negotiates and resolves when the results channel is open. */
  static async open(
    request: LinkRequest,
    handlers: LinkHandlers,
    api: Api,
    environment: Environment,
    signal: AbortSignal,
  ): Promise<Link> {
    signal.throwIfAborted();
    const link = new Link(request, handlers, api, environment);
    try {
      await link.#negotiate(request, api, environment, signal);
      return link;
    } catch (error) {
      link.close();
      throw error;
    }
  }

  private constructor(request: LinkRequest, handlers: LinkHandlers, api: Api, environment: Environment) {
    this.#handlers = handlers;
    this.peer = environment.createPeer({ bundlePolicy: 'max-bundle', ...request.configuration });
    this.#trickle = new Trickle(
      (candidates) => api.candidates(this.#pcId, candidates, this.#abort.signal),
      (error) => {
        // Those that arrived may do; if none does, ICE says so.
        if (error instanceof ClientError && error.code === 'unknown_session') this.#lose(lost());
      },
    );
    this.#results = this.peer.createDataChannel('results');
    this.#listen(this.#results);
    if (request.live) {
      this.#listen(this.peer.createDataChannel('live', { ordered: false, maxPacketLifeTime: LIVE_LIFETIME_MS }));
    }
    this.#offerAudio(request);
    this.peer.addEventListener('track', ({ track, streams: [stream] }) => {
      this.#audio ??= stream ?? new MediaStream([track]);
    });
    this.peer.addEventListener('icecandidate', ({ candidate }) => {
      this.#trickle.add(candidate);
    });
    this.peer.addEventListener('connectionstatechange', this.#onConnection);
    this.#results.addEventListener('close', () => {
      this.#lose(lost());
    });
  }

  /** Sends a text on the results channel; false when it is not open. */
  send(text: string): boolean {
    if (this.#results.readyState !== 'open') return false;
    this.#results.send(text);
    return true;
  }

  get isSending(): boolean {
    return this.#senders.length > 0;
  }

  /** How many tracks can be sent without negotiating. */
  get trackCount(): number {
    return this.#senders.length;
  }

  /** Puts other tracks in place of those being sent, without negotiating. */
  async replaceTracks(tracks: readonly MediaStreamTrack[]): Promise<void> {
    await Promise.all(this.#senders.map((sender, index) => sender.replaceTrack(tracks[index] ?? null)));
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#abort.abort();
    this.#trickle.close();
    this.peer.close();
  }

  async #negotiate(request: LinkRequest, api: Api, { now }: Environment, signal: AbortSignal): Promise<void> {
    const since = now();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const onAbort = (): void => {
      this.#failOpening?.(lost());
    };
    const opened = new Promise<void>((resolve, reject) => {
      this.#failOpening = reject;
      this.#results.addEventListener('open', () => {
        this.#setupMs = now() - since;
        resolve();
      });
      timer = setTimeout(() => {
        reject(noPath());
      }, SETUP_TIMEOUT_MS);
      signal.addEventListener('abort', onAbort, { once: true });
    });
    const negotiated = async (): Promise<void> => {
      const { type, sdp: offer = '' } = await this.peer.createOffer();
      await this.peer.setLocalDescription({ type, sdp: request.hear ? welcomeStereo(offer) : offer });
      const sdp = this.peer.localDescription?.sdp ?? '';
      const { pipeline, join } = request;
      const reply = await api.offer(
        { sdp, type: 'offer', ...(pipeline === '' ? {} : { pipeline }), ...(join === undefined ? {} : { join }) },
        AbortSignal.any([signal, this.#abort.signal]),
      );
      this.#pcId = reply.pc_id;
      this.#sessionId = reply.session_id;
      this.#trickle.open();
      await this.peer.setRemoteDescription({ type: 'answer', sdp: reply.sdp });
      await opened;
    };
    try {
      await Promise.race([negotiated(), opened.then(() => new Promise<void>(() => undefined))]);
      this.#state = 'open';
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      this.#failOpening = undefined;
    }
  }

  /** Whether audio comes back is the answer's to say; a listener only makes room for it. */
  #offerAudio({ tracks, stream, hear }: LinkRequest): void {
    for (const track of tracks) {
      const direction = hear && this.#senders.length === 0 ? 'sendrecv' : 'sendonly';
      this.#senders.push(this.peer.addTransceiver(track, { direction, streams: stream ? [stream] : [] }).sender);
    }
    if (hear && !this.isSending) this.peer.addTransceiver('audio', { direction: 'recvonly' });
  }

  #listen(channel: RTCDataChannel): void {
    channel.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
      if (typeof data === 'string' && this.#state !== 'closed') this.#handlers.onText(data, channel !== this.#results);
    });
  }

  readonly #onConnection = (): void => {
    switch (this.peer.connectionState) {
      case 'failed':
        this.#lose(this.#state === 'opening' ? noPath() : lost());
        break;
      case 'closed':
        this.#lose(lost());
        break;
      case 'disconnected':
        if (this.#state === 'open') this.#handlers.onDoubt();
        break;
      case 'new':
      case 'connecting':
      case 'connected':
        break;
    }
  };

  #lose(error: ClientError): void {
    if (this.#state === 'opening') this.#failOpening?.(error);
    if (this.#state !== 'open') return;
    this.close();
    this.#handlers.onLost(error);
  }
}

function noPath(): ClientError {
  return new ClientError(
    'connection_failed',
    'The server answers, but no path for media was found.',
    'A firewall may block UDP: let the server’s media ports through (media_ports in its configuration), and set advertised_address when it is behind NAT.',
  );
}

function lost(): ClientError {
  return new ClientError('connection_lost', 'The connection was lost.', 'It will be tried again by itself.');
}
