import type { ResultMessage } from '@remotemedia/client';
import { describe, expect, it } from 'vitest';
import { Tracks } from '../src/tracks.ts';
import { freeze, readView, viewOf } from '../src/view.ts';

let seq = 0;

function message(type: string, ptsMs: number, data: unknown, more: object = {}): ResultMessage {
  const header = { v: 1, type, node: 'vad', session: 's', participant: 'p', stream: 'audio', seq: seq++, pts_ms: ptsMs, rtp_ts: 0, latency_ms: 0 };
  return { ...header, ...more, data } as unknown as ResultMessage;
}

const vad = (ptsMs: number, probability: number, more: object = {}) => message('vad', ptsMs, { speech: probability > 0.5, probability }, more);

function add(tracks: Tracks, ...messages: ResultMessage[]): void {
  for (const each of messages) tracks.add(each, each.pts_ms + 40);
}

const only = (tracks: Tracks) => {
  const [track] = tracks.all;
  if (!track) throw new Error('no track');
  return track;
};

describe('Tracks', () => {
  it('makes a segment of a start and a stop', () => {
    const tracks = new Tracks();
    add(tracks, message('speech_started', 200, { probability: 0.9 }));
    expect(only(tracks).segments).toEqual([{ startMs: 200, endMs: undefined }]);
    add(tracks, message('speech_stopped', 900, { start_ms: 200, duration_ms: 700 }));
    expect(only(tracks).segments).toEqual([{ startMs: 200, endMs: 900 }]);
  });

  it('makes one of a stop alone, for who joined in the middle', () => {
    const tracks = new Tracks();
    add(tracks, message('speech_stopped', 900, { start_ms: 200, duration_ms: 700 }));
    expect(only(tracks).segments).toEqual([{ startMs: 200, endMs: 900 }]);
  });

  it('tells streams apart', () => {
    const tracks = new Tracks();
    add(tracks, vad(0, 0.1), vad(0, 0.9, { participant: 'q' }));
    expect(tracks.all.map(({ key, probability }) => [key, probability.value(0).toFixed(1)])).toEqual([['p/audio', '0.1'], ['q/audio', '0.9']]);
  });

  it('draws one detector, not two over each other', () => {
    const tracks = new Tracks();
    add(tracks, vad(0, 0.1), vad(0, 0.9, { node: 'other' }), vad(20, 0.2));
    expect(only(tracks).probability.length).toBe(2);
  });

  it('takes no track from what is about none', () => {
    const tracks = new Tracks();
    add(tracks, message('bye', 0, { reason: 'x' }, { stream: '' }));
    expect(tracks.all).toEqual([]);
  });

  it('forgets the quietest when there are too many', () => {
    const tracks = new Tracks();
    for (let i = 0; i < 40; i += 1) add(tracks, vad(i, 0.1, { participant: `p${i}` }));
    expect(tracks.all.map(({ participant }) => participant)).toContain('p39');
    expect(tracks.all).toHaveLength(32);
    expect(tracks.get('p0/audio')).toBeUndefined();
  });
});

describe('a view', () => {
  const at = { now: 1_040, roundTripMs: 0, threshold: 0.5 };

  function speaking(): Tracks {
    const tracks = new Tracks();
    for (let pts = 0; pts <= 1_000; pts += 20) add(tracks, vad(pts, pts / 1_000));
    add(tracks, message('speech_started', 500, { probability: 0.6 }));
    return tracks;
  }

  it('ends just before the newest window', () => {
    expect(viewOf(only(speaking()), undefined, at)?.endMs).toBe(940);
  });

  it('reads the window that a time lies in', () => {
    const view = viewOf(only(speaking()), undefined, at);
    const reading = view && readView(view, 613);
    expect(reading?.probability).toBeCloseTo(0.6);
    expect(reading?.segment).toEqual({ startMs: 500, lengthMs: 440, isOpen: true });
    expect(view && readView(view, 400).segment).toBeUndefined();
  });

  it('reads nothing where nothing came', () => {
    const view = viewOf(only(speaking()), undefined, at);
    expect(view && readView(view, -200)).toMatchObject({ probability: undefined, levelDbfs: undefined });
  });

  it('stays as it is when frozen', () => {
    const tracks = speaking();
    const view = viewOf(only(tracks), undefined, at);
    const frozen = view && freeze(view);
    add(tracks, message('speech_stopped', 900, { start_ms: 500, duration_ms: 400 }), vad(1_020, 0.99));
    expect(frozen?.segments).toEqual([{ startMs: 500, endMs: 940 }]);
    expect(frozen?.probability.length).toBe(51);
  });

  it('draws the level that the pipeline measured', () => {
    const tracks = speaking();
    add(tracks, message('level', 600, { rms_dbfs: -20, peak_dbfs: -10 }, { node: 'level' }));
    const view = viewOf(only(tracks), undefined, at);
    expect(view && readView(view, 610).levelDbfs).toBe(-20);
  });
});
