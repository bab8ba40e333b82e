import { ClientError, type ResultMessage } from '@remotemedia/client';
import { describe, expect, it } from 'vitest';
import { formatTime } from '../src/draw.ts';
import { readData } from '../src/data.ts';
import { rowOf, sentRow, summarise } from '../src/event-rows.ts';
import { Measures } from '../src/measures.ts';
import { joinLink, readAddress } from '../src/share.ts';
import { quantile, RecentValues } from '../src/window-stats.ts';
import { describe as words, type PageState } from '../src/words.ts';

const situation = { source: 'microphone', isJoining: false, isSecure: true, description: '' } as const;

function message(type: string, data: unknown, more: object = {}): ResultMessage {
  return { v: 1, type, node: 'shout', session: 's', participant: 'p', stream: 'audio', seq: 1, pts_ms: 65_320, rtp_ts: 0, latency_ms: 2, data, ...more } as unknown as ResultMessage;
}

describe('words', () => {
  const error = new ClientError('server_full', 'The server is full.', 'It will be tried again.', { serverCode: 'RM-6001' });
  it.each<PageState>([
    { name: 'idle' },
    { name: 'asking' },
    { name: 'connecting', attempt: 1 },
    { name: 'ended', reason: 'closed', detail: '' },
    { name: 'failed', error, retryAt: undefined },
  ])('name the state $name and say something', (state) => {
    expect(words(state, situation)).toMatchObject({ label: expect.stringMatching(/./) as string, title: expect.stringMatching(/./) as string });
  });

  it('say what to do without audio, and ask for no microphone', () => {
    const silent = { ...situation, source: 'none', isSecure: false } as const;
    expect(words({ name: 'idle' }, silent).title).toBe('Press Start and send something');
    expect(words({ name: 'asking' }, silent).title).toBe('Connecting');
  });

  it('leave a live session to its data', () => {
    expect(words({ name: 'live', sessionId: 's' }, situation).title).toBe('');
  });

  it('warn of a page that is not secure before anything is tried', () => {
    const insecure = { ...situation, isSecure: false };
    expect(words({ name: 'idle' }, insecure).text).toContain('--tls');
    expect(words({ name: 'idle' }, { ...insecure, source: 'file' }).text).not.toContain('--tls');
  });

  it('give what to do and the code to look up', () => {
    expect(words({ name: 'failed', error, retryAt: undefined }, situation).text).toBe('It will be tried again. (RM-6001)');
  });
});

describe('data', () => {
  it.each([
    ['hello', 'hello'],
    ['{"text": "hi"}', { text: 'hi' }],
    ['7', 7],
    ['"7"', '7'],
    ['{"text": ', '{"text": '],
    ['null', null],
  ])('typed as %s is JSON, or else text', (text, value) => {
    expect(readData(text)).toEqual(value);
  });

  it('that was sent has a row that can be copied', () => {
    expect(sentRow({ text: 'hi' }, undefined)).toMatchObject({ title: 'You sent', detail: 'text hi', json: '{"type":"input","data":{"text":"hi"}}' });
    expect(sentRow(1, 'words')).toMatchObject({ title: 'You sent to words', json: '{"type":"input","node":"words","data":1}' });
  });
});

describe('a row', () => {
  it('says when speech stopped and how long it was', () => {
    expect(rowOf(message('speech_stopped', { start_ms: 1, duration_ms: 1_840 }), '')).toMatchObject({ time: '1:05.320', detail: 'after 1.84 s' });
  });

  it('names the speaker when there are several', () => {
    expect(rowOf(message('speech_started', { probability: 0.9 }), 'you, audio')?.detail).toBe('probability 0.90 · you, audio');
  });

  it('of a node has one shape while only numbers differ', () => {
    const shape = (data: unknown) => rowOf(message('node', data), '')?.shape;
    expect(shape({ loud: true, level: 0.1 })).toBe(shape({ loud: true, level: 0.7 }));
    expect(shape({ loud: true, level: 0.1 })).not.toBe(shape({ loud: false, level: 0.1 }));
  });

  it('keeps a traceback', () => {
    expect(rowOf(message('error', { code: 'RM-5001', message: 'no', traceback: 'line 7' }), '')).toMatchObject({ kind: 'error', long: 'line 7' });
  });

  it('is not made of what the picture shows', () => {
    expect(rowOf(message('vad', { speech: true, probability: 1 }), '')).toBeUndefined();
  });

  it('copies the message as it came', () => {
    const original = message('node', 'hello');
    expect(JSON.parse(rowOf(original, '')?.json ?? '')).toEqual(original);
  });
});

it('values of nodes are short', () => {
  expect(summarise({ loud: true, level: 0.123456, words: ['a'] })).toBe('loud true, level 0.1235, words ["a"]');
  expect(summarise('yes')).toBe('yes');
  expect(summarise(null)).toBe('null');
});

it('times have milliseconds', () => {
  expect([0, 59_999.6, 605_004].map(formatTime)).toEqual(['0:00.000', '1:00.000', '10:05.004']);
});

it('the page’s address names pipeline and session, and the join link leads there', () => {
  expect(readAddress('http://h:8080/')).toEqual({ pipeline: '', join: undefined });
  const link = joinLink('https://h:8080', 'mic vad', 's-1');
  expect(readAddress(link)).toEqual({ pipeline: 'mic vad', join: 's-1' });
});

describe('figures', () => {
  it('quantiles are by nearest rank', () => {
    expect(quantile([5, 1, 4, 2, 3], 0.5)).toBe(3);
    expect(quantile([5, 1, 4, 2, 3], 0.95)).toBe(5);
    expect(quantile([], 0.5)).toBeUndefined();
  });

  it('recent values forget by age and by number', () => {
    const recent = new RecentValues(100, 3);
    [1, 2, 3, 4].forEach((value) => {
      recent.add(value * 10, value);
    });
    expect(recent.values(40).sort()).toEqual([2, 3, 4]);
    expect(recent.values(135)).toEqual([4]);
  });

  it('loss is that of the last seconds', () => {
    const measures = new Measures();
    const metrics = (packets_received: number, packets_lost: number) => message('metrics', { jitter_ms: 1.23, packets_received, packets_lost, concealed: 2, coalesced: 0, dropped: 0 }, { stream: '' });
    measures.add(metrics(100, 50), 0);
    measures.add(metrics(190, 60), 1_000);
    expect(measures.values(true, 'Live', 1_000)).toMatchObject({ loss: '10.0', jitter: '1.2', concealed: '2' });
  });

  it('the figures of others are not ours', () => {
    const measures = new Measures();
    measures.add(message('ready', { participant: 'p' }, { stream: '' }), 0);
    measures.add(message('metrics', { jitter_ms: 9, packets_received: 1, packets_lost: 0, concealed: 7 }, { participant: 'q', stream: '' }), 0);
    expect(measures.values(true, 'Live', 0).concealed).toBeUndefined();
  });

  it('what is not known is not shown', () => {
    const values = new Measures().values(false, 'Idle', 0);
    expect(Object.entries(values).filter(([, value]) => value !== undefined)).toEqual([['connection', 'Idle']]);
  });
});
