import type { Environment } from '../src/environment.ts';

/** Where no browser is: a data channel that the test opens, feeds and reads. */
export class FakeChannel extends EventTarget {
  readyState: RTCDataChannelState = 'connecting';
  readonly sent: Record<string, unknown>[] = [];
  readonly label: string;
  readonly options: RTCDataChannelInit;

  constructor(label: string, options: RTCDataChannelInit) {
    super();
    this.label = label;
    this.options = options;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }

  open(): void {
    this.readyState = 'open';
    this.dispatchEvent(new Event('open'));
  }

  shut(): void {
    this.readyState = 'closed';
    this.dispatchEvent(new Event('close'));
  }

  receive(message: unknown): void {
    const data = typeof message === 'string' ? message : JSON.stringify(message);
    this.dispatchEvent(new MessageEvent('message', { data }));
  }
}

/** A peer connection that does nothing by itself. */
export class FakePeer extends EventTarget {
  connectionState: RTCPeerConnectionState = 'new';
  localDescription: { sdp: string } | null = null;
  remoteDescription: RTCSessionDescriptionInit | undefined;
  isClosed = false;
  readonly channels: FakeChannel[] = [];
  readonly replaced: (FakeTrack | null)[] = [];
  track: FakeTrack | undefined;
  /** What was asked for audio: for the last section, and for all that send. */
  audio: RTCRtpTransceiverInit | undefined;
  readonly sending: [FakeTrack, RTCRtpTransceiverDirection | undefined][] = [];

  createDataChannel(label: string, options: RTCDataChannelInit = {}): FakeChannel {
    const channel = new FakeChannel(label, options);
    this.channels.push(channel);
    return channel;
  }

  addTransceiver(track: FakeTrack | string, init: RTCRtpTransceiverInit): unknown {
    this.audio = init;
    if (typeof track !== 'string') {
      this.track ??= track;
      this.sending.push([track, init.direction]);
    }
    const replaceTrack = (next: FakeTrack | null): Promise<void> => {
      this.replaced.push(next);
      return Promise.resolve();
    };
    return { sender: { replaceTrack } };
  }

  createOffer(): Promise<RTCSessionDescriptionInit> {
    return Promise.resolve({ type: 'offer', sdp: 'the offer' });
  }

  setLocalDescription(description: { sdp: string }): Promise<void> {
    this.localDescription = description;
    return Promise.resolve();
  }

  setRemoteDescription(description: RTCSessionDescriptionInit): Promise<void> {
    this.remoteDescription = description;
    return Promise.resolve();
  }

  getStats(): Promise<RTCStatsReport> {
    return Promise.resolve(new Map() as unknown as RTCStatsReport);
  }

  close(): void {
    this.isClosed = true;
    this.connectionState = 'closed';
    for (const channel of this.channels) channel.readyState = 'closed';
  }

  become(state: RTCPeerConnectionState): void {
    this.connectionState = state;
    this.dispatchEvent(new Event('connectionstatechange'));
  }

  found(candidate: string | null): void {
    const event = new Event('icecandidate');
    const value = candidate === null ? null : { candidate, sdpMid: '0', sdpMLineIndex: 0 };
    this.dispatchEvent(Object.assign(event, { candidate: value }));
  }

  /** The answer says that audio comes. */
  says(stream: object): void {
    this.dispatchEvent(Object.assign(new Event('track'), { track: new FakeTrack(), streams: [stream] }));
  }

  get results(): FakeChannel {
    return this.#channel('results');
  }

  get live(): FakeChannel {
    return this.#channel('live');
  }

  #channel(label: string): FakeChannel {
    const channel = this.channels.find((each) => each.label === label);
    if (!channel) throw new Error(`no channel ${label}`);
    return channel;
  }
}

export class FakeTrack extends EventTarget {
  readonly kind = 'audio';
  enabled = true;
  isStopped = false;

  stop(): void {
    this.isStopped = true;
  }

  /** Ends by itself, as when the device is pulled out. */
  vanish(): void {
    this.dispatchEvent(new Event('ended'));
  }
}

export class FakeStream {
  readonly track = new FakeTrack();

  getAudioTracks(): FakeTrack[] {
    return [this.track];
  }

  getTracks(): FakeTrack[] {
    return [this.track];
  }
}

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly body: Record<string, unknown> | undefined;
}

type Answer = (request: Request) => Response | Promise<Response>;

/** A server at the other end of `fetch`, and the browser around it. */
export class World {
  readonly requests: Request[] = [];
  readonly peers: FakePeer[] = [];
  readonly streams: FakeStream[] = [];
  /** Ids of the sessions that the server knows. */
  readonly sessions = new Set<string>();
  isUp = true;
  isSecure = true;
  hasMediaDevices = true;
  microphone: () => Promise<FakeStream> = () => Promise.resolve(new FakeStream());
  /** Takes the place of the usual answer to an offer. */
  onOffer: Answer | undefined;
  #offers = 0;

  readonly environment: Environment = {
    fetch: (input, init) => this.#fetch(input, init),
    createPeer: () => {
      const peer = new FakePeer();
      this.peers.push(peer);
      return peer as unknown as RTCPeerConnection;
    },
    createAudioContext: () => {
      throw new Error('no audio here');
    },
    get mediaDevices() {
      return undefined;
    },
    isSecureContext: true,
    now: () => performance.now(),
    random: () => 0.5,
  };

  /** The environment with the microphone as this world has it now. */
  browser(): Environment {
    const devices = {
      getUserMedia: async () => {
        const stream = await this.microphone();
        this.streams.push(stream);
        return stream;
      },
    };
    return {
      ...this.environment,
      mediaDevices: this.hasMediaDevices ? (devices as unknown as MediaDevices) : undefined,
      isSecureContext: this.isSecure,
    };
  }

  get peer(): FakePeer {
    const peer = this.peers.at(-1);
    if (!peer) throw new Error('nobody has connected');
    return peer;
  }

  get stream(): FakeStream {
    const stream = this.streams.at(-1);
    if (!stream) throw new Error('nobody has asked for the microphone');
    return stream;
  }

  /** Bodies of the calls of one method and path. */
  calls(method: string, path: string): (Record<string, unknown> | undefined)[] {
    return this.requests.filter((request) => request.method === method && request.path === path).map(({ body }) => body);
  }

  async #fetch(input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
    const path = new URL(input instanceof Request ? input.url : input).pathname;
    const method = init.method ?? 'GET';
    const body = typeof init.body === 'string' ? (JSON.parse(init.body) as Record<string, unknown>) : undefined;
    const request = { method, path, body };
    this.requests.push(request);
    if (!this.isUp) throw new TypeError('Failed to fetch');
    return this.#answer(request);
  }

  #answer(request: Request): Response | Promise<Response> {
    const { method, path } = request;
    if (method === 'POST' && path === '/api/offer') {
      if (this.onOffer) return this.onOffer(request);
      this.#offers += 1;
      const session = `s-${this.#offers}`;
      this.sessions.add(session);
      return json(200, { sdp: 'the answer', type: 'answer', pc_id: `pc-${this.#offers}`, session_id: session });
    }
    if (method === 'PATCH') return json(200, { status: 'success' });
    if (path === '/api/config') return json(200, { ice_servers: [{ urls: ['stun:stun.example:3478'] }] });
    if (path === '/api/pipelines') return json(200, { pipelines: [{ name: 'mic-vad' }, { name: 'mic-level' }] });
    const session = /^\/api\/sessions\/(.+)$/.exec(path)?.[1];
    if (session !== undefined && this.sessions.has(session)) return json(200, { id: session });
    return refusal(404, 'RM-2004', 'no such id');
  }
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', ...headers } });
}

export function refusal(status: number, code: string, message: string, headers: Record<string, string> = {}): Response {
  return json(status, { error: { code, message } }, headers);
}

/** A result as the server writes it. */
export function result(type: string, seq: number, data: unknown, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    v: 1,
    type,
    node: 'vad',
    session: 's-1',
    participant: 'p-1',
    stream: 'audio',
    seq,
    pts_ms: 20 * seq,
    rtp_ts: 960 * seq,
    latency_ms: 0.5,
    data,
    ...more,
  };
}
