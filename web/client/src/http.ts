import type { Environment } from './environment.ts';
import { ClientError, type ErrorDetails } from './errors.ts';
import { isRecord } from './json.ts';

/** A pipeline as the server lists it; fields that this client does not read stay in `raw`. */
export interface PipelineInfo {
  readonly name: string;
  readonly description: string;
  /** Whether it sends audio back. */
  readonly sendsAudio: boolean;
  /** Whether it takes audio: whoever opens a session must offer some, may, or need not. */
  readonly takesAudio: 'needed' | 'optional' | 'none';
  /** Who takes data, by the names that `Session.input` takes; none in most. */
  readonly takesData: readonly string[];
  readonly nodes: readonly PipelineNode[];
  readonly raw: Readonly<Record<string, unknown>>;
}

/** One node of a pipeline, in the pipeline's order. */
export interface PipelineNode {
  readonly id: string;
  readonly kind: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** The body of an offer. */
export interface OfferRequest {
  readonly sdp: string;
  readonly type: 'offer';
  readonly pipeline?: string;
  readonly join?: string;
  readonly request_data?: unknown;
}

/** The server's answer. */
export interface OfferReply {
  readonly sdp: string;
  readonly pc_id: string;
  readonly session_id: string;
}

/** One candidate as `PATCH /api/offer` takes it; an empty one is the end. */
export interface TrickleCandidate {
  readonly candidate: string;
  readonly sdp_mid: string | null;
  readonly sdp_mline_index: number | null;
}

/** The calls of the server that a client needs. Every failure is a {@link ClientError}. */
export class Api {
  readonly #base: URL;
  readonly #fetch: typeof fetch;

  constructor(base: string | URL, environment: Pick<Environment, 'fetch'>) {
    this.#base = new URL(base);
    this.#fetch = environment.fetch;
  }

  async offer(request: OfferRequest, signal: AbortSignal): Promise<OfferReply> {
    const reply = await this.#json('/api/offer', { method: 'POST', body: request, signal });
    const { sdp, pc_id, session_id } = isRecord(reply) ? reply : {};
    if (typeof sdp !== 'string' || typeof pc_id !== 'string' || typeof session_id !== 'string') {
      throw notOurs('an answer without sdp, pc_id and session_id');
    }
    return { sdp, pc_id, session_id };
  }

  async candidates(pcId: string, candidates: readonly TrickleCandidate[], signal: AbortSignal): Promise<void> {
    await this.#json('/api/offer', { method: 'PATCH', body: { pc_id: pcId, candidates }, signal });
  }

  /** Whether the server still knows the session. Throws `server_gone` when it does not answer. */
  async hasSession(id: string, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#json(`/api/sessions/${encodeURIComponent(id)}`, { signal });
      return true;
    } catch (error) {
      if (error instanceof ClientError && error.code === 'unknown_session') return false;
      throw error;
    }
  }

  async pipelines(signal: AbortSignal): Promise<PipelineInfo[]> {
    const reply = await this.#json('/api/pipelines', { signal });
    const list = isRecord(reply) ? reply['pipelines'] : reply;
    if (!Array.isArray(list)) throw notOurs('no list of pipelines');
    return list.filter(isRecord).map(readPipeline);
  }

  /** ICE servers for this client; none when the server has none to give. */
  async iceServers(signal: AbortSignal): Promise<RTCIceServer[]> {
    const reply = await this.#json('/api/config', { signal });
    const servers = isRecord(reply) ? reply['ice_servers'] : undefined;
    return Array.isArray(servers) ? (servers as RTCIceServer[]) : [];
  }

  async #json(
    path: string,
    options: { method?: string; body?: unknown; signal: AbortSignal },
  ): Promise<unknown> {
    const { method = 'GET', body, signal } = options;
    let response: Response;
    try {
      response = await this.#fetch(new URL(path, this.#base), {
        method,
        signal,
        cache: 'no-store',
        ...(body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      });
    } catch (error) {
      signal.throwIfAborted();
      throw serverGone(this.#base, error);
    }
    const reply: unknown = await response.json().catch(() => undefined);
    signal.throwIfAborted();
    if (!response.ok) throw this.#refusal(response, reply);
    return reply;
  }

  #refusal(response: Response, reply: unknown): ClientError {
    const error = isRecord(reply) && isRecord(reply['error']) ? reply['error'] : undefined;
    // A proxy in front of a server that is away answers in its place.
    if (!error && response.status >= 502 && response.status <= 504) return serverGone(this.#base);
    const text = (name: string): string | undefined => {
      const value = error?.[name];
      return typeof value === 'string' ? value : undefined;
    };
    const serverCode = text('code');
    const field = text('field');
    const retryAfterMs = readRetryAfter(response.headers.get('retry-after'));
    const details: ErrorDetails = {
      ...(serverCode === undefined ? {} : { serverCode }),
      ...(field === undefined ? {} : { field }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    };
    const message = text('message') ?? `The server answered ${response.status}.`;
    const hint = text('hint') ?? '';
    if (response.status === 429 || serverCode === 'RM-6001') {
      return new ClientError('server_full', 'The server is full.', 'It will be tried again by itself.', details);
    }
    if (response.status === 503 || serverCode === 'RM-6002') {
      return new ClientError('server_draining', 'The server is shutting down.', 'It will be tried again by itself.', details);
    }
    if (serverCode === 'RM-2003') {
      return new ClientError('unknown_pipeline', message, hint || 'Choose one of the pipelines that it has.', details);
    }
    if (serverCode === 'RM-2004' || response.status === 404) {
      return new ClientError('unknown_session', message, hint || 'The session has ended: start a new one.', details);
    }
    return new ClientError('refused', message, hint || 'The server’s log says more.', details);
  }
}

function readPipeline(raw: Record<string, unknown>): PipelineInfo {
  const nodesOf = (manifest: unknown): Record<string, unknown>[] => (isRecord(manifest) ? list(manifest['nodes']) : []);
  const resolved = nodesOf(raw['resolved']);
  const nodes = resolved.length > 0 ? resolved : nodesOf(raw['manifest']);
  const ports = list(raw['ports']);
  const sources = ports.filter(({ direction }) => direction === 'in');
  return {
    name: text(raw['name']),
    description: text(raw['description']),
    sendsAudio: ports.some(({ direction, kind }) => direction === 'out' && kind === 'audio'),
    takesAudio: audioOf(sources.map(({ kind }) => kind)),
    takesData: sources.filter(({ kind }) => kind === 'data' || kind === 'any').map(({ id }) => text(id)),
    nodes: nodes.map((node) => ({
      id: text(node['id']),
      kind: text(node['kind']) || text(node['node_type']),
      params: isRecord(node['params']) ? node['params'] : {},
    })),
    raw,
  };
}

function audioOf(kinds: readonly unknown[]): PipelineInfo['takesAudio'] {
  // A server that says nothing about them has sources of audio alone.
  if (kinds.length === 0 || kinds.includes('audio')) return 'needed';
  return kinds.includes('any') ? 'optional' : 'none';
}

function list(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** `Retry-After` (RFC 9110, section 10.2.3) in milliseconds: seconds or a date. */
export function readRetryAfter(value: string | null, nowMs = Date.now()): number | undefined {
  if (value === null) return undefined;
  const seconds = Number(value);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1_000);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

function serverGone(base: URL, cause?: unknown): ClientError {
  return new ClientError(
    'server_gone',
    `No answer from the server at ${base.host}.`,
    'It will be tried again by itself. Is the server running?',
    { cause },
  );
}

function notOurs(what: string): ClientError {
  return new ClientError('protocol', `The server gave ${what}.`, 'Is this address a RemoteMedia server?');
}
