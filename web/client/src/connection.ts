import { Control } from './control.ts';
import type { Environment } from './environment.ts';
import { ClientError } from './errors.ts';
import { Heartbeat } from './heartbeat.ts';
import type { Api } from './http.ts';
import { Inbox } from './inbox.ts';
import { Link, type LinkRequest } from './link.ts';
import type { ControlMessage, ReplyMessage, ResultMessage } from './messages.ts';

const PROBE_TIMEOUT_MS = 1_500;
/** Messages that may come on a channel before the connection counts as open. */
const MAX_EARLY = 256;

/** What a {@link Connection} tells its session. */
export interface ConnectionHandlers {
  readonly onResult: (message: ResultMessage) => void;
  readonly onFault: (error: ClientError) => void;
  readonly onRoundTrip: (ms: number) => void;
  /** At most once. */
  readonly onLost: (error: ClientError) => void;
}

/** A link with what is spoken on it: results in, control out, and a heartbeat. */
export class Connection {
  readonly #handlers: ConnectionHandlers;
  readonly #environment: Environment;
  readonly #inbox = new Inbox();
  readonly #control: Control;
  #link: Link | undefined;
  #heartbeat: Heartbeat | undefined;
  #early: (readonly [text: string, isLive: boolean])[] | undefined = [];

  private constructor(handlers: ConnectionHandlers, environment: Environment) {
    this.#handlers = handlers;
    this.#environment = environment;
    this.#control = new Control((text) => this.#link?.send(text) ?? false);
  }

  /** Resolves when results can come; nothing is handed on before {@link Connection.start}. */
  static async open(
    request: LinkRequest,
    handlers: ConnectionHandlers,
    api: Api,
    environment: Environment,
    signal: AbortSignal,
  ): Promise<Connection> {
    const connection = new Connection(handlers, environment);
    connection.#link = await Link.open(
      request,
      {
        onText: (text, isLive) => {
          connection.#onText(text, isLive);
        },
        onDoubt: () => {
          connection.#heartbeat?.doubt();
        },
        onLost: handlers.onLost,
      },
      api,
      environment,
      signal,
    );
    return connection;
  }

  get link(): Link {
    if (!this.#link) throw new Error('open() sets it before anyone has the connection');
    return this.#link;
  }

  /** Hands on what came early and begins to ping. */
  start(api: Api): void {
    const { sessionId } = this.link;
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const [text, isLive] of early) this.#read(text, isLive);
    this.#heartbeat = new Heartbeat(
      {
        ping: () => void this.ping().catch(() => undefined),
        probe: () => api.hasSession(sessionId, AbortSignal.timeout(PROBE_TIMEOUT_MS)),
        onLost: () => {
          this.#handlers.onLost(
            new ClientError('connection_lost', 'The server stopped answering.', 'It will be tried again by itself.'),
          );
        },
      },
      this.#environment.now,
    );
  }

  request(message: ControlMessage): Promise<ReplyMessage> {
    return this.#control.request(message);
  }

  async ping(): Promise<number> {
    const sent = this.#environment.now();
    await this.#control.request({ type: 'ping', t: sent });
    const ms = this.#environment.now() - sent;
    this.#handlers.onRoundTrip(ms);
    return ms;
  }

  close(): void {
    this.#heartbeat?.stop();
    this.#control.close();
    this.#link?.close();
  }

  #onText(text: string, isLive: boolean): void {
    if (!this.#early) this.#read(text, isLive);
    else if (this.#early.length < MAX_EARLY) this.#early.push([text, isLive]);
  }

  #read(text: string, isLive: boolean): void {
    this.#heartbeat?.heard();
    const inbound = this.#inbox.read(text, isLive);
    switch (inbound.kind) {
      case 'result':
        this.#handlers.onResult(inbound.message);
        break;
      case 'reply':
        this.#control.handle(inbound.reply);
        break;
      case 'invalid':
        this.#handlers.onFault(inbound.error);
        break;
      case 'ignored':
        break;
    }
  }
}
