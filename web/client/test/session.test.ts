import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { connect } from '../src/connect.ts';
import type { ConnectOptions } from '../src/options.ts';
import type { Session } from '../src/session.ts';
import type { SessionState } from '../src/state.ts';
import { FakeStream, FakeTrack, result, World } from './fakes.ts';

let world: World;

beforeEach(() => {
  vi.useFakeTimers();
  world = new World();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Lets everything that waits for nothing but its turn run. */
const settle = () => vi.advanceTimersByTimeAsync(0);

function start(options: Partial<ConnectOptions> = {}): { session: Session; states: SessionState[]; names: () => string[] } {
  const session = connect({ url: 'http://server:8080/mic-vad', ...options }, world.browser());
  const states: SessionState[] = [];
  session.on('state', (state) => states.push(state));
  return { session, states, names: () => states.map(({ name }) => name) };
}

async function goLive(options: Partial<ConnectOptions> = {}): Promise<ReturnType<typeof start>> {
  const started = start(options);
  await settle();
  world.peer.results.open();
  await settle();
  return started;
}

describe('a session', () => {
  it('goes from asking to live', async () => {
    const { session, names } = await goLive();
    expect(names()).toEqual(['asking', 'connecting', 'live']);
    expect(world.calls('POST', '/api/offer')).toEqual([{ sdp: 'the offer', type: 'offer', pipeline: 'mic-vad' }]);
    expect(world.peer.track).toBe(world.stream.track);
    expect(world.peer.live.options).toEqual({ ordered: false, maxPacketLifeTime: 250 });
    session.close();
  });

  it('says how long the set-up took', async () => {
    world.microphone = () => new Promise((resolve) => setTimeout(resolve, 1_000, new FakeStream()));
    const { session } = start();
    await vi.advanceTimersByTimeAsync(1_000);
    await vi.advanceTimersByTimeAsync(35);
    world.peer.results.open();
    await settle();
    expect(session.info?.setupMs).toBe(35);
    session.close();
  });

  it('sends candidates as they are found', async () => {
    const { session } = start();
    await settle();
    world.peer.found('candidate:1');
    world.peer.found(null);
    await vi.advanceTimersByTimeAsync(50);
    const batches = world.calls('PATCH', '/api/offer').map((body) => body?.['candidates']);
    expect(batches.flat()).toMatchObject([{ candidate: 'candidate:1', sdp_mid: '0', sdp_mline_index: 0 }, { candidate: '' }]);
    session.close();
  });

  it('gives results typed, once, from both channels', async () => {
    const { session } = await goLive();
    const heard: unknown[] = [];
    session.on('speech_started', ({ seq, data }) => heard.push([seq, data.probability]));
    const event = result('speech_started', 7, { probability: 0.8 });
    world.peer.live.receive(event);
    world.peer.results.receive(event);
    expect(heard).toEqual([[7, 0.8]]);
    session.close();
  });

  it('keeps what came before it was live', async () => {
    const { session, states } = start();
    const heard: number[] = [];
    session.on('result', ({ seq }) => heard.push(states.length * 100 + seq));
    await settle();
    world.peer.live.receive(result('vad', 1, { speech: false, probability: 0 }));
    world.peer.results.open();
    await settle();
    expect(heard).toEqual([301]);
    session.close();
  });

  it('passes control and its replies', async () => {
    const { session } = await goLive();
    const done = session.configure('vad', { threshold: 0.6 });
    const message = world.peer.results.sent.at(-1);
    expect(message).toMatchObject({ type: 'configure', node: 'vad', params: { threshold: 0.6 } });
    world.peer.results.receive({ v: 1, type: 'configured', id: message?.['id'], node: 'vad' });
    await expect(done).resolves.toBeUndefined();
    session.close();
  });

  it('measures the round trip by itself', async () => {
    const { session } = await goLive();
    const trips: number[] = [];
    session.on('roundtrip', ({ ms }) => trips.push(ms));
    const ping = world.peer.results.sent.find(({ type }) => type === 'ping');
    await vi.advanceTimersByTimeAsync(30);
    world.peer.results.receive({ v: 1, type: 'pong', id: ping?.['id'], t: ping?.['t'] });
    await settle();
    expect(trips).toEqual([30]);
    session.close();
  });

  it('reports what is not in the protocol and goes on', async () => {
    const { session } = await goLive();
    const faults: string[] = [];
    session.on('fault', ({ code }) => faults.push(code));
    world.peer.results.receive('not JSON');
    expect(faults).toEqual(['protocol']);
    expect(session.state.name).toBe('live');
    session.close();
  });

  it('leaves nothing behind when closed', async () => {
    const { session, states } = await goLive();
    const flush = expect(session.flush()).rejects.toMatchObject({ code: 'not_live' });
    session.close();
    session.close();
    await flush;
    expect(world.peer.isClosed).toBe(true);
    expect(world.stream.track.isStopped).toBe(true);
    expect(states.at(-1)).toMatchObject({ name: 'ended', reason: 'closed' });
    await settle();
    expect(vi.getTimerCount()).toBe(0);
    await expect(session.ping()).rejects.toMatchObject({ code: 'not_live' });
  });

  it('gives the microphone back when closed while it is asked for', async () => {
    const stream = new FakeStream();
    world.microphone = () => new Promise((resolve) => setTimeout(resolve, 1_000, stream));
    const { session } = start();
    await vi.advanceTimersByTimeAsync(500);
    session.close();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(stream.track.isStopped).toBe(true);
    expect(world.peers).toEqual([]);
  });

  it('can be closed while it connects', async () => {
    const { session, names } = start();
    await settle();
    session.close();
    await settle();
    expect(world.peer.isClosed).toBe(true);
    expect(names()).toEqual(['asking', 'connecting', 'ended']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('joins a session of others and may send nothing', async () => {
    const { session } = await goLive({ join: 's-9', media: { kind: 'none' } });
    expect(world.calls('POST', '/api/offer')[0]).toMatchObject({ join: 's-9' });
    expect(world.peer.track).toBeUndefined();
    expect(world.streams).toEqual([]);
    await expect(session.replaceMedia({ kind: 'microphone' })).rejects.toMatchObject({ code: 'not_live' });
    session.close();
  });
});

describe('data', () => {
  it('goes by messages and names who shall have it, or nobody', async () => {
    const { session } = await goLive({ media: { kind: 'none' } });
    const handed = Promise.all([session.input({ text: 'hi' }), session.input(null, 'text-1')]);
    const sent = world.peer.results.sent.filter(({ type }) => type === 'input');
    expect(sent).toMatchObject([{ data: { text: 'hi' } }, { data: null, node: 'text-1' }]);
    expect(sent[0]).not.toHaveProperty('node');
    for (const { id } of sent) world.peer.results.receive({ v: 1, type: 'accepted', id, node: 'text-1' });
    await handed;
    session.close();
  });

  it('that is refused says why', async () => {
    const { session } = await goLive();
    const refused = expect(session.input(1, 'vad')).rejects.toMatchObject({ code: 'control_refused', details: { field: 'node' } });
    const id = world.peer.results.sent.find(({ type }) => type === 'input')?.['id'];
    world.peer.results.receive({ v: 1, type: 'error', id, data: { code: 'RM-1003', message: 'no such node', field: 'node' } });
    await refused;
    session.close();
  });
});

describe('the input', () => {
  it('is replaced without negotiating again', async () => {
    const { session } = await goLive();
    const first = world.stream;
    await session.replaceMedia({ kind: 'microphone', deviceId: 'other' });
    expect(world.peer.replaced).toEqual([world.stream.track]);
    expect(first.track.isStopped).toBe(true);
    expect(world.calls('POST', '/api/offer')).toHaveLength(1);
    session.close();
  });

  it('may be several tracks, one for each source', async () => {
    const tracks = [new FakeTrack(), new FakeTrack()];
    const input = (given: readonly FakeTrack[]) => ({ kind: 'tracks', tracks: given as unknown as MediaStreamTrack[] }) as const;
    const { session } = await goLive({ media: input(tracks) });
    expect(world.peer.sending).toEqual([
      [tracks[0], 'sendrecv'],
      [tracks[1], 'sendonly'],
    ]);
    session.setMuted(true);
    expect(tracks.map(({ enabled }) => enabled)).toEqual([false, false]);
    const other = new FakeTrack();
    await session.replaceMedia(input([other]));
    expect(world.peer.replaced).toEqual([other, null]);
    await expect(session.replaceMedia(input([...tracks, other]))).rejects.toMatchObject({ code: 'not_live' });
    await expect(session.replaceMedia(input([]))).rejects.toMatchObject({ code: 'no_device' });
    session.close();
    expect(tracks.some(({ isStopped }) => isStopped)).toBe(false);
  });

  it('goes on with the default microphone when the device is gone', async () => {
    const { session } = await goLive();
    const faults: string[] = [];
    session.on('fault', ({ code }) => faults.push(code));
    world.stream.track.vanish();
    await settle();
    expect(faults).toEqual(['no_device']);
    expect(world.peer.replaced).toEqual([world.stream.track]);
    expect(session.state.name).toBe('live');
    session.close();
  });

  it('ends with words when there is no other', async () => {
    const { states } = await goLive();
    world.microphone = () => Promise.reject(new DOMException('none', 'NotFoundError'));
    world.stream.track.vanish();
    await settle();
    expect(states.at(-1)).toMatchObject({ name: 'failed', error: { code: 'no_device' }, retryAt: undefined });
    expect(world.peer.isClosed).toBe(true);
  });

  it.each([
    ['NotAllowedError', 'permission_denied'],
    ['NotFoundError', 'no_device'],
  ])('that throws %s fails the session with %s', async (name, code) => {
    world.microphone = () => Promise.reject(new DOMException('x', name));
    const { states } = start();
    await settle();
    expect(states.at(-1)).toMatchObject({ name: 'failed', error: { code }, retryAt: undefined });
    expect(world.peers).toEqual([]);
  });

  it('of a page that is not secure says how to start the server', async () => {
    world.hasMediaDevices = world.isSecure = false;
    const { states } = start();
    await settle();
    const state = states.at(-1);
    expect(state?.name === 'failed' && state.error.code).toBe('insecure_page');
    expect(state?.name === 'failed' && state.error.advice).toContain('--tls');
  });
});

describe('audio that comes back', () => {
  it('is asked for with a microphone, and told once it is live', async () => {
    const { session, states } = start();
    const heard: unknown[] = [];
    session.on('audio', (stream) => heard.push([stream, states.at(-1)?.name]));
    await settle();
    expect(world.peer.audio?.direction).toBe('sendrecv');
    const stream = {};
    world.peer.says(stream);
    expect(session.audio).toBeUndefined();
    world.peer.results.open();
    await settle();
    expect(heard).toEqual([[stream, 'connecting']]);
    expect(session.audio).toBe(stream);
    session.close();
    expect(session.audio).toBeUndefined();
  });

  it('is asked for by a listener', async () => {
    const { session } = await goLive({ media: { kind: 'none' }, join: 's-9' });
    expect(world.peer.audio).toEqual({ direction: 'recvonly' });
    expect(session.audio).toBeUndefined();
    session.close();
  });

  it('can be left out', async () => {
    const { session } = await goLive({ hear: false });
    expect(world.peer.audio?.direction).toBe('sendonly');
    session.close();
    const { session: listener } = await goLive({ hear: false, media: { kind: 'none' }, join: 's-9' });
    expect(world.peer.audio).toBeUndefined();
    listener.close();
  });

  it('is another stream after a lost connection', async () => {
    const { session } = start();
    const heard: unknown[] = [];
    session.on('audio', (stream) => heard.push(stream));
    const streams = [{}, {}];
    await settle();
    world.peer.says(streams[0] ?? {});
    world.peer.results.open();
    await settle();
    world.peer.become('failed');
    await vi.advanceTimersByTimeAsync(5_000);
    expect(session.audio).toBeUndefined();
    world.peer.says(streams[1] ?? {});
    world.peer.results.open();
    await settle();
    expect(heard[0]).toBe(streams[0]);
    expect(heard[1]).toBe(streams[1]);
    session.close();
  });
});
