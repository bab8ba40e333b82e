import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { connect } from '../src/connect.ts';
import { SETUP_TIMEOUT_MS } from '../src/link.ts';
import type { ConnectOptions } from '../src/options.ts';
import type { SessionInfo } from '../src/session.ts';
import type { SessionState } from '../src/state.ts';
import { refusal, result, World } from './fakes.ts';

let world: World;

beforeEach(() => {
  vi.useFakeTimers();
  world = new World();
});
afterEach(() => {
  vi.useRealTimers();
});

const settle = () => vi.advanceTimersByTimeAsync(0);

function start(options: Partial<ConnectOptions> = {}) {
  const session = connect({ url: 'http://server:8080/mic-vad', ...options }, world.browser());
  const states: SessionState[] = [];
  const sessions: SessionInfo[] = [];
  session.on('state', (state) => states.push(state));
  session.on('session', (info) => sessions.push(info));
  return { session, states, sessions };
}

async function goLive(options: Partial<ConnectOptions> = {}) {
  const started = start(options);
  await settle();
  world.peer.results.open();
  await settle();
  return started;
}

const bye = (reason: string, code?: string) => result('bye', 99, code === undefined ? { reason } : { reason, code });

describe('a lost connection', () => {
  it('becomes a new session that says it is new', async () => {
    const { session, states, sessions } = await goLive();
    world.peer.become('failed');
    await settle();
    expect(states.at(-1)).toMatchObject({ name: 'failed', error: { code: 'connection_lost' } });
    expect(world.peers[0]?.isClosed).toBe(true);
    await vi.advanceTimersByTimeAsync(500);
    world.peer.results.open();
    await settle();
    expect(sessions).toMatchObject([
      { id: 's-1', isNew: true, previousId: undefined },
      { id: 's-2', isNew: true, previousId: 's-1' },
    ]);
    expect(world.stream.track.isStopped).toBe(false);
    session.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is noticed and mended within 5 s when the server was killed and restarted without a word', async () => {
    const { session, sessions } = await goLive();
    world.sessions.clear();
    const killed = performance.now();
    while (sessions.length < 2 && performance.now() - killed < 10_000) {
      await vi.advanceTimersByTimeAsync(100);
      const { results } = world.peer;
      if (world.peers.length > 1 && results.readyState === 'connecting') results.open();
    }
    expect(performance.now() - killed).toBeLessThan(5_000);
    session.close();
  });

  it('is tried again until the server is back', async () => {
    const { session, states } = await goLive();
    world.isUp = false;
    world.peer.results.shut();
    await vi.advanceTimersByTimeAsync(60_000);
    const { length } = world.calls('POST', '/api/offer');
    expect(length).toBeGreaterThan(20);
    expect(states.at(-1)?.name).toMatch(/failed|connecting/);
    world.isUp = true;
    const peers = world.peers.length;
    await vi.advanceTimersByTimeAsync(2_000);
    expect(world.peers.length).toBeGreaterThan(peers);
    world.peer.results.open();
    await settle();
    expect(session.state.name).toBe('live');
    session.close();
  });

  it('is looked into when the path is in doubt', async () => {
    const { session, states } = await goLive();
    world.isUp = false;
    world.peer.become('disconnected');
    await settle();
    expect(states.at(-1)).toMatchObject({ name: 'failed', error: { code: 'connection_lost' } });
    session.close();
  });

  it('ends the session when that was asked for', async () => {
    const { states } = await goLive({ reconnect: false });
    world.peer.become('failed');
    await settle();
    expect(states.at(-1)).toMatchObject({ name: 'failed', retryAt: undefined });
    expect(world.stream.track.isStopped).toBe(true);
  });

  it('says no path was found when ICE ends in nothing', async () => {
    const { session, states } = start();
    await vi.advanceTimersByTimeAsync(SETUP_TIMEOUT_MS);
    expect(states.at(-1)).toMatchObject({ name: 'failed', error: { code: 'connection_failed' } });
    session.close();
  });
});

describe('a farewell', () => {
  it('of a server that shuts down is followed by new attempts', async () => {
    const { session, states } = await goLive();
    world.peer.results.receive(bye('the server is shutting down', 'RM-6002'));
    await settle();
    expect(states.at(-1)).toMatchObject({ name: 'failed', error: { code: 'server_draining' } });
    await vi.advanceTimersByTimeAsync(2_000);
    expect(world.peers.length).toBeGreaterThan(1);
    session.close();
  });

  it('that overtakes the last events waits for them', async () => {
    const { session } = await goLive();
    const types: string[] = [];
    session.on('result', ({ type }) => types.push(type));
    world.peer.live.receive(bye('closed by request'));
    world.peer.results.receive(result('speech_stopped', 98, { start_ms: 0, duration_ms: 5 }));
    world.peer.results.receive(bye('closed by request'));
    expect(types).toEqual(['speech_stopped', 'bye']);
    expect(session.state.name).toBe('ended');
  });

  it('without a code ends the session', async () => {
    const { states } = await goLive();
    world.peer.results.receive(bye('closed by request'));
    expect(states.at(-1)).toEqual({ name: 'ended', reason: 'server', detail: 'closed by request' });
    await settle();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('a refused offer', () => {
  it('of a full server is tried again when the server says so', async () => {
    world.onOffer = () => refusal(429, 'RM-6001', 'full', { 'retry-after': '3' });
    const { session, states } = start();
    await settle();
    const state = states.at(-1);
    expect(state).toMatchObject({ name: 'failed', error: { code: 'server_full' } });
    const wait = (state?.name === 'failed' && state.retryAt ? state.retryAt : 0) - performance.now();
    expect(wait).toBeGreaterThanOrEqual(3_000);
    world.onOffer = undefined;
    await vi.advanceTimersByTimeAsync(wait);
    expect(session.state.name).toBe('connecting');
    session.close();
  });

  it('of an unknown pipeline lists those that there are', async () => {
    world.onOffer = () => refusal(404, 'RM-2003', 'no pipeline "mic-vat"');
    const { states } = start();
    await settle();
    expect(states.at(-1)).toMatchObject({
      name: 'failed',
      error: { code: 'unknown_pipeline', details: { pipelines: ['mic-vad', 'mic-level'] } },
      retryAt: undefined,
    });
    expect(world.peer.isClosed).toBe(true);
  });

  it('to join what has ended is not made a session of its own', async () => {
    world.onOffer = () => refusal(404, 'RM-2004', 'that session has ended');
    const { states } = start({ join: 's-0', media: { kind: 'none' } });
    await settle();
    expect(states.at(-1)).toMatchObject({ name: 'failed', error: { code: 'unknown_session' }, retryAt: undefined });
  });
});
