// Stands in for the server while the page is worked on: the same calls, real peers, made-up results.
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StandinPeer } from './peer.mjs';
import { PIPELINES } from './pipelines.mjs';

const DIST = fileURLToPath(new URL('../../demo/dist/', import.meta.url));
const TYPES = /** @type {Record<string, string>} */ ({ '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' });
const POLICY = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** @typedef {{ id: string, peers: Map<string, StandinPeer>, seq: number, pipeline: typeof PIPELINES[number] }} Session */

/** A refusal as the server words it. */
class Refusal extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   * @param {Record<string, string>} [headers]
   */
  constructor(status, code, message, headers = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

export class Standin {
  /** `full` answers offers with 429. @type {'normal' | 'full'} */
  mode = 'normal';
  /** @type {Map<string, Session>} */ #sessions = new Map();
  #server = createServer((request, response) => {
    this.#handle(request, response).catch((/** @type {unknown} */ error) => {
      const refusal = error instanceof Refusal ? error : new Refusal(500, 'RM-6999', String(error));
      const { status, code, message, headers } = refusal;
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(JSON.stringify({ error: { code, message } }));
    });
  });

  /**
   * @param {number} port 0 for any
   * @returns {Promise<number>}
   */
  async listen(port) {
    await new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
      this.#server.listen(port, '127.0.0.1', resolve);
    });
    return /** @type {import('node:net').AddressInfo} */ (this.#server.address()).port;
  }

  /** Goes away: with a word of farewell, or at once as if killed. @param {string} [bye] */
  async close(bye) {
    for (const { peers } of this.#sessions.values()) for (const peer of peers.values()) peer.close(bye);
    this.#sessions.clear();
    this.#server.closeAllConnections();
    await new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
      this.#server.close(resolve);
    });
  }

  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {import('node:http').ServerResponse} response
   */
  async #handle(request, response) {
    const { pathname } = new URL(request.url ?? '/', 'http://standin');
    if (!pathname.startsWith('/api/')) {
      await this.#file(pathname, response);
      return;
    }
    const reply = await this.#call(`${request.method ?? ''} ${pathname}`, request);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(reply));
  }

  /**
   * @param {string} call
   * @param {import('node:http').IncomingMessage} request
   * @returns {Promise<unknown>}
   */
  async #call(call, request) {
    if (call === 'GET /api/pipelines') return { pipelines: PIPELINES };
    if (call === 'GET /api/config') return { ice_servers: [] };
    if (call === 'POST /api/offer') return this.#offer(/** @type {{ sdp: string, pipeline?: string, join?: string }} */ (await body(request)));
    if (call === 'PATCH /api/offer') return this.#trickle(/** @type {{ pc_id: string, candidates: { candidate: string, sdp_mid: string }[] }} */ (await body(request)));
    if (call.startsWith('GET /api/sessions/')) {
      const session = this.#sessions.get(call.slice('GET /api/sessions/'.length));
      if (session) return { id: session.id };
    }
    throw new Refusal(404, 'RM-2004', 'no session or connection has that id');
  }

  /** @param {{ sdp: string, pipeline?: string, join?: string }} offer */
  async #offer({ sdp, pipeline: name, join: sessionId }) {
    if (this.mode === 'full') throw new Refusal(429, 'RM-6001', 'the server is full', { 'retry-after': '2' });
    const pipeline = PIPELINES.find((each) => each.name === name);
    if (!pipeline) throw new Refusal(404, 'RM-2003', `no pipeline "${String(name)}"`);
    let session = sessionId === undefined ? undefined : this.#sessions.get(sessionId);
    if (sessionId !== undefined && !session) throw new Refusal(404, 'RM-2004', 'that session has ended');
    session ??= { id: randomUUID(), peers: new Map(), seq: 0, pipeline };
    this.#sessions.set(session.id, session);
    const { id, peers } = session;
    const pcId = randomUUID();
    const all = session;
    const peer = new StandinPeer({
      pcId, sessionId: id, participant: `p-${randomUUID().slice(0, 6)}`, pipeline: session.pipeline,
      joined: sessionId !== undefined, participants: peers.size + 1,
      nextSeq: () => all.seq++,
      broadcast: (text, isLive) => {
        for (const each of peers.values()) each.send(text, isLive);
      },
      onClosed: () => {
        peers.delete(pcId);
        if (peers.size === 0) this.#sessions.delete(id);
      },
    });
    peers.set(pcId, peer);
    return { sdp: await peer.answer(sdp), type: 'answer', pc_id: pcId, session_id: id };
  }

  /** @param {{ pc_id: string, candidates: { candidate: string, sdp_mid: string }[] }} trickle */
  #trickle({ pc_id, candidates }) {
    const peer = [...this.#sessions.values()].map(({ peers }) => peers.get(pc_id)).find((each) => each);
    if (!peer) throw new Refusal(404, 'RM-2004', 'no connection has that id');
    for (const candidate of candidates) peer.addCandidate(candidate);
    return { status: 'success' };
  }

  /**
   * @param {string} pathname
   * @param {import('node:http').ServerResponse} response
   */
  async #file(pathname, response) {
    const path = pathname.startsWith('/assets/') ? normalize(pathname) : '/index.html';
    const content = await readFile(join(DIST, path)).catch(() => {
      throw new Refusal(404, 'RM-2004', 'no such file');
    });
    response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream', 'content-security-policy': POLICY });
    response.end(content);
  }
}

/**
 * @param {import('node:http').IncomingMessage} request
 * @returns {Promise<unknown>}
 */
async function body(request) {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  /** @type {unknown} */
  const value = JSON.parse(text);
  return value;
}
