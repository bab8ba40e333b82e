import { Backoff } from './backoff.ts';
import { Connection } from './connection.ts';
import { Emitter } from './emitter.ts';
import { sleep, type Environment } from './environment.ts';
import { byeError, ClientError, toClientError } from './errors.ts';
import { Api } from './http.ts';
import { openMedia, type MediaInput, type MediaSource } from './media.ts';
import type { ControlMessage, ResultMessage, ResultType } from './messages.ts';
import type { ResolvedOptions } from './options.ts';
import type { EndReason, SessionState } from './state.ts';
import { readStats, type ConnectionStats } from './stats.ts';

/** A session on the server. */
export interface SessionInfo {
  readonly id: string;
  readonly pcId: string;
  /** Whether it is another one than before: the server has forgotten what was. */
  readonly isNew: boolean;
  /** The one before, when its connection was lost. */
  readonly previousId: string | undefined;
  /** From the beginning of the offer to the open channel, in milliseconds. */
  readonly setupMs: number;
}

/** Results by their type, and what the client itself has to say. */
export type SessionEvents = {
  readonly [T in ResultType]: Extract<ResultMessage, { type: T }>;
} & {
  /** Every result, whatever its type. */
  readonly result: ResultMessage;
  readonly state: SessionState;
  readonly session: SessionInfo;
  /** What went wrong without ending the session: a lost device, a message that is not in the protocol. */
  readonly fault: ClientError;
  readonly roundtrip: { readonly ms: number };
  /** The input: another one after `replaceMedia` or a lost device. */
  readonly media: MediaSource;
  /** Audio that comes back: once for each connection to a pipeline that sends some. */
  readonly audio: MediaStream;
};

/** From the end of a file to the flush: what is under way arrives. */
export const DRAIN_MS = 500;

/** One session with a pipeline, kept alive across lost connections until it is closed. */
export class Session extends Emitter<SessionEvents> {
  readonly #options: ResolvedOptions;
  readonly #environment: Environment;
  readonly #api: Api;
  readonly #abort = new AbortController();
  #state: SessionState = { name: 'asking' };
  #media: MediaSource | undefined;
  #connection: Connection | undefined;
  #info: SessionInfo | undefined;
  #iceServers: RTCIceServer[] | undefined;

  /** Use `connect`. */
  constructor(options: ResolvedOptions, environment: Environment) {
    super();
    this.#options = options;
    this.#environment = environment;
    this.#api = new Api(options.url, environment);
    this.#iceServers = options.iceServers;
    // Whoever made this adds listeners first.
    queueMicrotask(() => void this.#run());
  }

  get state(): SessionState {
    return this.#state;
  }

  /** The latest session on the server, live or not. */
  get info(): SessionInfo | undefined {
    return this.#info;
  }

  /** What is being sent. */
  get media(): MediaSource | undefined {
    return this.#media;
  }

  /** What the pipeline sends back; undefined while it is not live, and where it sends none. */
  get audio(): MediaStream | undefined {
    return this.#connection?.link.audio;
  }

  /** Changes live parameters of a node; resolves when they apply. */
  async configure(node: string, params: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#request({ type: 'configure', node, params });
  }

  /** Drops what the pipeline is still saying. */
  async interrupt(): Promise<void> {
    await this.#request({ type: 'interrupt' });
  }

  /** Resolves when pending events have been sent. */
  async flush(): Promise<void> {
    await this.#request({ type: 'flush' });
  }

  /**
   * Hands data, any JSON, to the pipeline; resolves when its nodes have it. `node` says who shall
   * have it, one of `takesData` in {@link PipelineInfo}, and may be left out where there is one alone.
   */
  async input(data: unknown, node?: string): Promise<void> {
    await this.#request({ type: 'input', data, ...(node === undefined ? {} : { node }) });
  }

  /** The round trip on the channel, in milliseconds; also measured once a second by itself. */
  ping(): Promise<number> {
    return this.#connection?.ping() ?? Promise.reject(notLive());
  }

  /** Sends something else from now on: another device, a file. The connection stays. */
  async replaceMedia(input: MediaInput): Promise<void> {
    if (this.#connection && !this.#connection.link.isSending) {
      throw new ClientError('not_live', 'This session only listens.', 'Connect again with a microphone or a file.');
    }
    const media = await openMedia(input, this.#environment);
    if (this.#abort.signal.aborted) {
      media.stop();
      return;
    }
    const link = this.#connection?.link;
    if (link && media.tracks.length > link.trackCount) {
      media.stop();
      throw new ClientError('not_live', 'This session sends fewer tracks.', 'Connect again with as many tracks.');
    }
    await link?.replaceTracks(media.tracks);
    this.#media?.stop();
    this.#adopt(media);
    if (this.#state.name === 'live') media.start();
  }

  /** Mutes the input without giving it back. */
  setMuted(muted: boolean): void {
    for (const track of this.#media?.tracks ?? []) track.enabled = !muted;
  }

  /** What the browser knows about the connection; undefined while there is none. */
  async stats(): Promise<ConnectionStats | undefined> {
    const peer = this.#connection?.link.peer;
    return peer ? readStats(await peer.getStats()) : undefined;
  }

  /** Ends the session for this client. Further calls do nothing. */
  close(): void {
    this.#end('closed', '');
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    const { reconnect } = this.#options;
    try {
      this.#setState({ name: 'asking' });
      const [media] = await Promise.all([openMedia(this.#options.media, this.#environment), this.#fetchIceServers()]);
      if (signal.aborted) {
        media.stop();
        return;
      }
      this.#adopt(media);
      const backoff = new Backoff(reconnect ?? { initialMs: 0, maxMs: 0 }, this.#environment.random);
      for (let attempt = 1; ; attempt += 1) {
        this.#setState({ name: 'connecting', attempt });
        const { error, wasLive } = await this.#attempt();
        signal.throwIfAborted();
        if (!reconnect || !error.retryable) throw await this.#withPipelines(error);
        if (wasLive) {
          attempt = 0;
          backoff.reset();
        }
        const wait = backoff.next(error.details.retryAfterMs);
        this.#setState({ name: 'failed', error, retryAt: this.#environment.now() + wait });
        await sleep(wait, signal);
      }
    } catch (error) {
      if (!signal.aborted) this.#finish({ name: 'failed', error: toClientError(error), retryAt: undefined });
    }
  }

  /** Connects once and stays until the connection breaks; returns why it did. */
  async #attempt(): Promise<{ error: ClientError; wasLive: boolean }> {
    let lose: (error: ClientError) => void = () => undefined;
    const lost = new Promise<ClientError>((resolve) => (lose = resolve));
    let connection: Connection | undefined;
    try {
      await this.#fetchIceServers();
      const { pipeline, join, hear, live } = this.#options;
      connection = await Connection.open(
        {
          pipeline,
          join,
          hear,
          live,
          tracks: this.#media?.tracks ?? [],
          stream: this.#media?.stream,
          configuration: { iceServers: this.#iceServers ?? [] },
        },
        {
          onResult: (message) => {
            this.#onResult(message, lose);
          },
          onFault: (error) => {
            this.emit('fault', error);
          },
          onRoundTrip: (ms) => {
            this.emit('roundtrip', { ms });
          },
          onLost: lose,
        },
        this.#api,
        this.#environment,
        this.#abort.signal,
      );
      this.#connection = connection;
      this.#goLive(connection);
      return { error: await lost, wasLive: true };
    } catch (error) {
      return { error: toClientError(error), wasLive: false };
    } finally {
      this.#connection = undefined;
      connection?.close();
    }
  }

  #goLive(connection: Connection): void {
    const { sessionId, pcId, setupMs, audio } = connection.link;
    const previousId = this.#info?.id;
    this.#info = { id: sessionId, pcId, isNew: sessionId !== previousId, previousId, setupMs };
    this.emit('session', this.#info);
    if (audio) this.emit('audio', audio);
    this.#setState({ name: 'live', sessionId });
    connection.start(this.#api);
    this.#media?.start();
  }

  #onResult(message: ResultMessage, lose: (error: ClientError) => void): void {
    this.emit('result', message);
    this.emit(message.type, message);
    if (message.type !== 'bye') return;
    const { reason, code } = message.data;
    if (code === undefined) this.#end('server', reason);
    else lose(byeError(reason, code));
  }

  #adopt(media: MediaSource): void {
    this.#media = media;
    media.onEnded(() => {
      if (media !== this.#media || this.#abort.signal.aborted) return;
      void (media.kind === 'file' ? this.#onFileEnd() : this.#onDeviceLost());
    });
    this.emit('media', media);
  }

  async #onFileEnd(): Promise<void> {
    if (!this.#options.endWithMedia) return;
    try {
      await sleep(DRAIN_MS, this.#abort.signal);
      await this.flush();
    } catch {
      // Not live, or closed meanwhile: there is nothing to wait for.
    }
    this.#end('media_ended', '');
  }

  /** Goes on with the default microphone, if there is one. */
  async #onDeviceLost(): Promise<void> {
    const fault = new ClientError('no_device', 'The microphone is gone.', 'The default one is used instead; choose another if you like.');
    try {
      await this.replaceMedia({ kind: 'microphone' });
      this.emit('fault', fault);
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      this.#finish({ name: 'failed', error: toClientError(error), retryAt: undefined });
    }
  }

  async #fetchIceServers(): Promise<void> {
    if (this.#iceServers) return;
    try {
      this.#iceServers = await this.#api.iceServers(this.#abort.signal);
    } catch {
      // The offer meets the same trouble and names it; without ICE servers it works on most networks.
    }
  }

  async #withPipelines(error: ClientError): Promise<ClientError> {
    if (error.code !== 'unknown_pipeline') return error;
    try {
      const pipelines = (await this.#api.pipelines(this.#abort.signal)).map(({ name }) => name);
      return new ClientError(error.code, error.message, error.advice, { ...error.details, pipelines });
    } catch {
      return error;
    }
  }

  #request(message: ControlMessage): Promise<unknown> {
    return this.#connection?.request(message) ?? Promise.reject(notLive());
  }

  #end(reason: EndReason, detail: string): void {
    this.#finish({ name: 'ended', reason, detail });
  }

  #finish(state: SessionState): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort(new ClientError('not_live', 'The session is over.', 'Connect again.'));
    this.#connection?.close();
    this.#connection = undefined;
    this.#media?.stop();
    this.#setState(state);
  }

  #setState(state: SessionState): void {
    this.#state = state;
    this.emit('state', state);
  }
}

function notLive(): ClientError {
  return new ClientError('not_live', 'There is no live session.', 'Wait until the state is live.');
}
