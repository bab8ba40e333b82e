import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Backoff, DEFAULT_BACKOFF } from '../src/backoff.ts';
import { Control, MAX_WAITING, REPLY_TIMEOUT_MS } from '../src/control.ts';
import { Emitter } from '../src/emitter.ts';
import { DOUBT_MS, Heartbeat, PING_INTERVAL_MS, SILENCE_MS } from '../src/heartbeat.ts';
import type { TrickleCandidate } from '../src/http.ts';
import { Trickle } from '../src/trickle.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('Backoff', () => {
  it('grows to its bound and begins anew after a reset', () => {
    const backoff = new Backoff({ initialMs: 100, maxMs: 300 }, () => 1);
    expect([1, 2, 3, 4].map(() => backoff.next())).toEqual([100, 200, 300, 300]);
    backoff.reset();
    expect(backoff.next()).toBe(100);
  });

  it('spreads by half', () => {
    expect(new Backoff({ initialMs: 100, maxMs: 300 }, () => 0).next()).toBe(50);
  });

  it('waits at least as long as the server asks', () => {
    expect(new Backoff(DEFAULT_BACKOFF, () => 0).next(3_000)).toBeGreaterThanOrEqual(3_000);
  });
});

describe('Control', () => {
  const sent: Record<string, unknown>[] = [];
  const open = (): Control => {
    sent.length = 0;
    return new Control((text) => sent.push(JSON.parse(text) as Record<string, unknown>) > 0);
  };

  it('gives each message its own reply', async () => {
    const control = open();
    const [first, second] = [control.request({ type: 'flush' }), control.request({ type: 'interrupt' })];
    control.handle({ v: 1, type: 'interrupted', id: 2 });
    control.handle({ v: 1, type: 'flushed', id: 1 });
    expect((await first).type).toBe('flushed');
    expect((await second).type).toBe('interrupted');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('rejects with what the server refused', async () => {
    const control = open();
    const reply = control.request({ type: 'configure', node: 'vad', params: { threshold: 2 } });
    control.handle({ v: 1, type: 'error', id: 1, data: { code: 'RM-1003', message: 'at most 1', field: 'threshold' } });
    await expect(reply).rejects.toMatchObject({ code: 'control_refused', details: { serverCode: 'RM-1003', field: 'threshold' } });
  });

  it('does not wait for ever', async () => {
    const reply = open().request({ type: 'ping' });
    const rejected = expect(reply).rejects.toMatchObject({ code: 'no_reply' });
    await vi.advanceTimersByTimeAsync(REPLY_TIMEOUT_MS);
    await rejected;
  });

  it('bounds what waits', async () => {
    const control = open();
    const waiting = Array.from({ length: MAX_WAITING }, () => control.request({ type: 'ping' }));
    await expect(control.request({ type: 'ping' })).rejects.toMatchObject({ code: 'control_refused' });
    control.close();
    const ends = await Promise.allSettled(waiting);
    expect(ends.every(({ status }) => status === 'rejected')).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('says when there is no channel', async () => {
    await expect(new Control(() => false).request({ type: 'ping' })).rejects.toMatchObject({ code: 'not_live' });
  });
});

describe('Trickle', () => {
  const candidate = (text: string) => ({ candidate: text, sdpMid: '0', sdpMLineIndex: 0 }) as RTCIceCandidate;
  const texts = (batches: TrickleCandidate[][]): string[][] => batches.map((batch) => batch.map((each) => each.candidate));

  function make(): { trickle: Trickle; batches: TrickleCandidate[][] } {
    const batches: TrickleCandidate[][] = [];
    const send = (batch: TrickleCandidate[]): Promise<void> => {
      batches.push(batch);
      return Promise.resolve();
    };
    return { trickle: new Trickle(send, () => undefined), batches };
  }

  it('holds candidates until there is an id to send them to', async () => {
    const { trickle, batches } = make();
    trickle.add(candidate('a'));
    await vi.advanceTimersByTimeAsync(100);
    expect(batches).toEqual([]);
    trickle.open();
    await vi.advanceTimersByTimeAsync(0);
    expect(texts(batches)).toEqual([['a']]);
  });

  it('sends neighbours in one request and the end as an empty candidate', async () => {
    const { trickle, batches } = make();
    trickle.open();
    trickle.add(candidate('a'));
    trickle.add(candidate('b'));
    trickle.add(null);
    await vi.advanceTimersByTimeAsync(100);
    expect(texts(batches)).toEqual([['a', 'b', '']]);
  });

  it('sends nothing after the close', async () => {
    const { trickle, batches } = make();
    trickle.open();
    trickle.add(candidate('a'));
    trickle.close();
    await vi.advanceTimersByTimeAsync(100);
    expect(batches).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('sends no more than the server takes', async () => {
    const { trickle, batches } = make();
    trickle.open();
    for (let i = 0; i < 200; i += 1) trickle.add(candidate(String(i)));
    await vi.advanceTimersByTimeAsync(100);
    expect(batches.flat()).toHaveLength(60);
  });
});

describe('Heartbeat', () => {
  function make(probe: () => Promise<boolean>) {
    const ping = vi.fn();
    const onLost = vi.fn();
    const asked = vi.fn(probe);
    const heartbeat = new Heartbeat({ ping, probe: asked, onLost }, () => performance.now());
    return { heartbeat, ping, asked, onLost };
  }

  it('pings once a second and doubts nothing while it hears', async () => {
    const { heartbeat, ping, asked, onLost } = make(() => Promise.resolve(true));
    for (let s = 0; s < 20; s += 1) {
      await vi.advanceTimersByTimeAsync(PING_INTERVAL_MS);
      heartbeat.heard();
    }
    expect(ping).toHaveBeenCalledTimes(21);
    expect(asked).not.toHaveBeenCalled();
    expect(onLost).not.toHaveBeenCalled();
    heartbeat.stop();
  });

  it('is lost at once when the server does not know the session', async () => {
    const { onLost } = make(() => Promise.resolve(false));
    await vi.advanceTimersByTimeAsync(DOUBT_MS);
    expect(onLost).toHaveBeenCalledOnce();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is lost when the server does not answer', async () => {
    const { onLost } = make(() => Promise.reject(new Error('gone')));
    await vi.advanceTimersByTimeAsync(DOUBT_MS);
    expect(onLost).toHaveBeenCalledOnce();
  });

  it('is patient with a server that knows the session, up to a limit', async () => {
    const { onLost } = make(() => Promise.resolve(true));
    await vi.advanceTimersByTimeAsync(SILENCE_MS - 1);
    expect(onLost).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(onLost).toHaveBeenCalledOnce();
  });

  it('believes what it hears more than a probe', async () => {
    let answer: (known: boolean) => void = () => undefined;
    const { heartbeat, onLost } = make(() => new Promise((resolve) => (answer = resolve)));
    heartbeat.doubt();
    await vi.advanceTimersByTimeAsync(10);
    heartbeat.heard();
    answer(false);
    await vi.advanceTimersByTimeAsync(0);
    expect(onLost).not.toHaveBeenCalled();
    heartbeat.stop();
  });
});

describe('Emitter', () => {
  class Bell extends Emitter<{ ring: number }> {
    ring(times: number): void {
      this.emit('ring', times);
    }
  }

  it('stops with the returned function and with a signal', () => {
    const bell = new Bell();
    const heard: string[] = [];
    const abort = new AbortController();
    const off = bell.on('ring', (n) => heard.push(`a${n}`));
    bell.on('ring', (n) => heard.push(`b${n}`), { signal: abort.signal });
    bell.ring(1);
    off();
    bell.ring(2);
    abort.abort();
    bell.ring(3);
    expect(heard).toEqual(['a1', 'b1', 'b2']);
  });
});
