import type { LevelMeter } from './level.ts';
import type { Series } from './series.ts';
import type { Segment, Track } from './tracks.ts';

/** How much is seen. */
export const SPAN_MS = 20_000;
/** The right edge lags so far behind the newest window that it is always drawn to the edge. */
const EDGE_MS = 60;

/** What is drawn of one moment: all of it in media time, `endMs` at the right edge. */
export interface View {
  readonly endMs: number;
  readonly probability: Series;
  /** RMS and peak; its times plus `levelShiftMs` are media time. */
  readonly level: Series;
  readonly levelShiftMs: number;
  readonly segments: readonly Segment[];
  readonly threshold: number | undefined;
}

/** What one point in time reads. */
export interface Reading {
  readonly timeMs: number;
  readonly levelDbfs: number | undefined;
  readonly probability: number | undefined;
  readonly segment: { readonly startMs: number; readonly lengthMs: number; readonly isOpen: boolean } | undefined;
}

/** The view of a track at `now`; undefined while its media time is not known. */
export function viewOf(
  track: Track,
  meter: LevelMeter | undefined,
  { now, roundTripMs, threshold }: { now: number; roundTripMs: number; threshold: number | undefined },
): View | undefined {
  const newest = track.clock.at(now);
  if (Number.isNaN(newest)) return undefined;
  const endMs = newest - EDGE_MS;
  const common = { endMs, probability: track.probability, segments: track.segments, threshold };
  // What the pipeline measured is exact; the input's own level is placed by what is known of the way.
  if (track.level.length > 0 || !meter) return { ...common, level: track.level, levelShiftMs: 0 };
  // The ways from the microphone to the audio thread and to the packet take equally long (measured:
  // within 10 ms); what remains is the window and the way there and back.
  const captured = newest + windowLength(track.probability) + roundTripMs;
  const read = meter.clock.at(now);
  const levelShiftMs = Number.isNaN(read) ? 0 : captured - read;
  return { ...common, level: meter.series, levelShiftMs };
}

/** A copy that stays as it is while new results come. */
export function freeze(view: View): View {
  return {
    ...view,
    probability: view.probability.clone(),
    level: view.level.clone(),
    segments: view.segments.map((segment) => ({ ...segment, endMs: segment.endMs ?? view.endMs })),
  };
}

/** Reads the values at a media time. */
export function readView(view: View, timeMs: number): Reading {
  const window = windowLength(view.probability);
  const p = view.probability.at(timeMs, 2 * window);
  const l = view.level.at(timeMs - view.levelShiftMs, 250);
  const segment = view.segments.findLast(({ startMs, endMs }) => startMs <= timeMs && timeMs < (endMs ?? Number.POSITIVE_INFINITY));
  return {
    timeMs,
    levelDbfs: l < 0 ? undefined : view.level.value(l, 0),
    probability: p < 0 ? undefined : view.probability.value(p, 0),
    segment: segment && {
      startMs: segment.startMs,
      lengthMs: (segment.endMs ?? view.endMs) - segment.startMs,
      isOpen: segment.endMs === undefined,
    },
  };
}

/** Between the newest windows: 32 ms for Silero, 20 ms for energy. */
export function windowLength(probability: Series): number {
  const last = probability.length - 1;
  if (last < 1) return 32;
  const step = probability.time(last) - probability.time(last - 1);
  return step > 0 && step <= 100 ? step : 32;
}

