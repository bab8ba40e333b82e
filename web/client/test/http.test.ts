import { describe, expect, it } from 'vitest';
import { ClientError } from '../src/errors.ts';
import { Api, readRetryAfter } from '../src/http.ts';
import { json, refusal } from './fakes.ts';

const signal = new AbortController().signal;
const offer = { sdp: 'x', type: 'offer' } as const;

function api(answer: () => Response | Promise<Response>): Api {
  return new Api('http://server:8080/mic-vad', { fetch: () => Promise.resolve().then(answer) });
}

async function errorOf(answer: () => Response): Promise<ClientError> {
  const error: unknown = await api(answer).offer(offer, signal).catch((thrown: unknown) => thrown);
  if (!(error instanceof ClientError)) throw new Error('expected a ClientError');
  return error;
}

describe('Api', () => {
  it.each([
    ['a full server', () => refusal(429, 'RM-6001', 'full'), 'server_full'],
    ['a server that shuts down', () => refusal(503, 'RM-6002', 'bye'), 'server_draining'],
    ['an unknown pipeline', () => refusal(404, 'RM-2003', 'no'), 'unknown_pipeline'],
    ['an unknown session', () => refusal(404, 'RM-2004', 'no'), 'unknown_session'],
    ['no common codec', () => refusal(422, 'RM-2002', 'no opus'), 'refused'],
    ['a proxy without its server', () => new Response('<html>', { status: 502 }), 'server_gone'],
    ['an answer that is none', () => json(200, { sdp: 'x' }), 'protocol'],
    ['a page in place of an answer', () => new Response('<html>'), 'protocol'],
  ])('names %s', async (_, answer, code) => {
    expect((await errorOf(answer)).code).toBe(code);
  });

  it('names a server that does not answer', async () => {
    const error = await errorOf(() => {
      throw new TypeError('Failed to fetch');
    });
    expect(error).toMatchObject({ code: 'server_gone', retryable: true });
    expect(error.message).toContain('server:8080');
  });

  it('keeps what the server says about the error', async () => {
    const body = { error: { code: 'RM-2001', message: 'no ice-ufrag', field: 'sdp', hint: 'send a whole offer' } };
    expect(await errorOf(() => json(400, body))).toMatchObject({
      message: 'no ice-ufrag',
      advice: 'send a whole offer',
      details: { serverCode: 'RM-2001', field: 'sdp' },
    });
  });

  it('knows how long to wait', async () => {
    const error = await errorOf(() => refusal(429, 'RM-6001', 'full', { 'retry-after': '3' }));
    expect(error.details.retryAfterMs).toBe(3_000);
  });

  it('tells a session that is gone from a server that is', async () => {
    expect(await api(() => json(200, {})).hasSession('s', signal)).toBe(true);
    expect(await api(() => refusal(404, 'RM-2004', 'no')).hasSession('s', signal)).toBe(false);
    await expect(api(() => new Response('', { status: 502 })).hasSession('s', signal)).rejects.toThrow(ClientError);
  });

  it('reads nodes from the resolved manifest', async () => {
    const resolved = { nodes: [{ id: 'vad', kind: 'vad', params: { threshold: 0.5 } }] };
    const [pipeline] = await api(() => json(200, { pipelines: [{ name: 'mic', resolved, manifest: {} }] })).pipelines(signal);
    expect(pipeline).toMatchObject({ name: 'mic', nodes: resolved.nodes });
  });

  it('knows which pipelines send audio back', async () => {
    const results = { id: 'results', direction: 'out', kind: 'results' };
    const ports = [[{ id: 'in', direction: 'in', kind: 'audio' }, results], [results, { id: 'out', direction: 'out', kind: 'audio' }], undefined];
    const listed = await api(() => json(200, { pipelines: ports.map((each) => ({ name: 'x', ports: each })) })).pipelines(signal);
    expect(listed.map(({ sendsAudio }) => sendsAudio)).toEqual([false, true, false]);
  });

  it('knows what pipelines take', async () => {
    const port = (id: string, kind: string) => ({ id, direction: 'in', kind });
    const results = { id: 'results', direction: 'out', kind: 'results' };
    const ports = [[port('mic', 'audio'), port('input', 'data')], [port('input', 'any')], [port('a', 'data'), port('b', 'data')], []];
    const listed = await api(() => json(200, { pipelines: ports.map((each) => ({ name: 'x', ports: [...each, results] })) })).pipelines(signal);
    expect(listed.map(({ takesAudio, takesData }) => [takesAudio, takesData])).toEqual([
      ['needed', ['input']],
      ['optional', ['input']],
      ['none', ['a', 'b']],
      ['needed', []],
    ]);
  });

  it('reads them from the manifest as written where there is no resolved one', async () => {
    const manifest = { nodes: [{ id: 'vad', node_type: 'VADNode' }] };
    const [pipeline] = await api(() => json(200, { pipelines: [{ name: 'mic', resolved: {}, manifest }] })).pipelines(signal);
    expect(pipeline?.nodes).toEqual([{ id: 'vad', kind: 'VADNode', params: {} }]);
  });
});

describe('readRetryAfter', () => {
  it('takes seconds and dates', () => {
    expect(readRetryAfter('2')).toBe(2_000);
    expect(readRetryAfter('Thu, 01 Jan 1970 00:00:05 GMT', 1_000)).toBe(4_000);
    expect(readRetryAfter('Thu, 01 Jan 1970 00:00:05 GMT', 9_000)).toBe(0);
    expect(readRetryAfter('soon')).toBeUndefined();
    expect(readRetryAfter(null)).toBeUndefined();
  });
});
