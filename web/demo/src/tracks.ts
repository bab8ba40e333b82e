import type { ResultMessage } from '@remotemedia/client';
import { MediaClock } from './clock.ts';
import { Series } from './series.ts';

/** Points a series: 20 s are seen, at most 100 points a second. */
const POINTS = 4_096;
/** Segments remembered a track. */
const MAX_SEGMENTS = 500;
/** Streams remembered; the one that was quiet longest goes. */
const MAX_TRACKS = 32;

/** Detected speech in media time; without an end it goes on. */
export interface Segment {
  readonly startMs: number;
  endMs: number | undefined;
}

/** What is known of one participant's stream. */
export class Track {
  readonly participant: string;
  readonly stream: string;
  readonly clock = new MediaClock();
  /** Probability, and whether it counts as speech (0 or 1). */
  readonly probability = new Series(POINTS, 2);
  /** RMS and peak in dBFS, when the pipeline measures them. */
  readonly level = new Series(POINTS, 2);
  readonly segments: Segment[] = [];
  /** The node whose probability is drawn: the first that spoke. */
  vadNode: string | undefined;
  heardAt = 0;

  constructor(participant: string, stream: string) {
    this.participant = participant;
    this.stream = stream;
  }

  get key(): string {
    return `${this.participant}/${this.stream}`;
  }

  add(message: ResultMessage, now: number): void {
    this.heardAt = now;
    switch (message.type) {
      case 'vad':
        if (!this.#isDrawn(message.node)) return;
        this.clock.observe(now, message.pts_ms, message.latency_ms);
        this.probability.push(message.pts_ms, message.data.probability, Number(message.data.speech));
        break;
      case 'level':
        this.clock.observe(now, message.pts_ms, message.latency_ms);
        this.level.push(message.pts_ms, message.data.rms_dbfs, message.data.peak_dbfs);
        break;
      case 'speech_started':
        if (this.#isDrawn(message.node)) this.#begin(message.pts_ms);
        break;
      case 'speech_stopped':
        if (this.#isDrawn(message.node)) this.#finish(message.data.start_ms, message.pts_ms);
        break;
      default:
        break;
    }
  }

  #isDrawn(node: string): boolean {
    return (this.vadNode ??= node) === node;
  }

  #begin(startMs: number): void {
    this.segments.push({ startMs, endMs: undefined });
    if (this.segments.length > MAX_SEGMENTS) this.segments.shift();
  }

  /** Whoever joins while somebody speaks sees only the stop: it says both ends. */
  #finish(startMs: number, endMs: number): void {
    const open = this.segments.findLast((segment) => segment.startMs === startMs);
    if (open) {
      open.endMs = endMs;
    } else {
      this.#begin(startMs);
      this.#finish(startMs, endMs);
    }
  }
}

/** All streams of a session. */
export class Tracks {
  readonly #tracks = new Map<string, Track>();

  /** Files a result under its stream; those about no stream are passed over. */
  add(message: ResultMessage, now: number): Track | undefined {
    if (message.stream === '') return undefined;
    const key = `${message.participant}/${message.stream}`;
    let track = this.#tracks.get(key);
    if (!track) {
      track = new Track(message.participant, message.stream);
      if (this.#tracks.size >= MAX_TRACKS) this.#forgetQuietest();
      this.#tracks.set(key, track);
    }
    track.add(message, now);
    return track;
  }

  get(key: string): Track | undefined {
    return this.#tracks.get(key);
  }

  get all(): Track[] {
    return [...this.#tracks.values()];
  }

  clear(): void {
    this.#tracks.clear();
  }

  #forgetQuietest(): void {
    const quietest = this.all.reduce((a, b) => (b.heardAt < a.heardAt ? b : a));
    this.#tracks.delete(quietest.key);
  }
}
