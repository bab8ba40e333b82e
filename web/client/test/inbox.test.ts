import { describe, expect, it } from 'vitest';
import { REMEMBERED, SeenSeqs } from '../src/dedup.ts';
import { Inbox } from '../src/inbox.ts';
import { result } from './fakes.ts';

const read = (message: unknown, inbox = new Inbox()) => inbox.read(JSON.stringify(message));

describe('Inbox', () => {
  it('passes a result on', () => {
    const message = result('vad', 1, { speech: true, probability: 0.9 });
    expect(read(message)).toEqual({ kind: 'result', message });
  });

  it('drops the second copy of an event', () => {
    const inbox = new Inbox();
    const message = result('speech_started', 4, { probability: 0.9 });
    expect(read(message, inbox).kind).toBe('result');
    expect(read(message, inbox).kind).toBe('ignored');
  });

  it('keeps results that come out of order', () => {
    const inbox = new Inbox();
    const kinds = [3, 1, 2].map((seq) => read(result('vad', seq, { speech: false, probability: 0 }), inbox).kind);
    expect(kinds).toEqual(['result', 'result', 'result']);
  });

  it('tells the error of a reply from one among the results by its seq', () => {
    const data = { code: 'RM-4001', message: 'unknown type' };
    expect(read({ v: 1, type: 'error', id: 3, data }).kind).toBe('reply');
    expect(read(result('error', 1, data)).kind).toBe('result');
  });

  it('passes over types of a later version', () => {
    expect(read(result('emotion', 1, {})).kind).toBe('ignored');
    expect(read({ v: 1, type: 'renamed' }).kind).toBe('ignored');
  });

  it('takes any JSON as the data of a node', () => {
    expect(read(result('node', 1, 'a text')).kind).toBe('result');
    expect(read(result('node', 2, null)).kind).toBe('result');
  });

  it.each([
    ['not JSON', '{'],
    ['no object', '[1]'],
    ['no type', '{"v":1}'],
    ['another version', JSON.stringify({ ...result('vad', 1, {}), v: 2 })],
    ['a broken header', JSON.stringify({ ...result('vad', 1, {}), pts_ms: '3' })],
    ['no data', JSON.stringify({ ...result('vad', 1, {}), data: undefined })],
    ['a seq that is no number', JSON.stringify({ ...result('vad', 1, {}), seq: '1' })],
  ])('reports %s', (_, text) => {
    const inbound = new Inbox().read(text);
    expect(inbound.kind === 'invalid' && inbound.error.code).toBe('protocol');
  });
});

describe('SeenSeqs', () => {
  it('forgets only the oldest', () => {
    const seen = new SeenSeqs();
    for (let seq = 0; seq <= REMEMBERED; seq += 1) seen.isNew(seq);
    expect(seen.isNew(1)).toBe(false);
    expect(seen.isNew(0)).toBe(true);
  });
});
