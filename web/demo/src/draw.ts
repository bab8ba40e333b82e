import { SPAN_MS, windowLength, type View } from './view.ts';

/** Colours and type, read from the page's tokens. */
export interface Theme {
  readonly ink: string;
  readonly rule: string;
  readonly ruleSoft: string;
  readonly level: string;
  readonly peak: string;
  readonly probability: string;
  readonly threshold: string;
  readonly speech: string;
  readonly speechWash: string;
  readonly speechInk: string;
  readonly sunken: string;
  readonly font: string;
}

/** Where things are, in CSS pixels. */
export interface Frame {
  readonly width: number;
  readonly height: number;
}

/** The strip of bands above, the axis below. */
const STRIP = 26;
const AXIS = 22;
const PAD = 10;
/** Which value of a point of the level is which. */
const RMS = 0;
const PEAK = 1;
/** A gap this long in the results is drawn as one. */
const GAP_MS = 300;

/** Draws a view; without one only the empty grid. `cursor` is media time. */
export function draw(
  context: CanvasRenderingContext2D,
  frame: Frame,
  theme: Theme,
  view: View | undefined,
  cursor: number | undefined,
): void {
  context.clearRect(0, 0, frame.width, frame.height);
  context.font = theme.font;
  context.textBaseline = 'middle';
  const endMs = view?.endMs ?? 0;
  const x = (timeMs: number): number => frame.width - ((endMs - timeMs) / SPAN_MS) * frame.width;
  drawGrid(context, frame, theme, endMs, view !== undefined, x);
  if (!view) return;
  drawBands(context, frame, theme, view, x);
  drawLevel(context, frame, theme, view, x);
  drawThreshold(context, frame, theme, view);
  drawProbability(context, frame, theme, view, x);
  drawScale(context, frame, theme);
  if (cursor !== undefined) drawCursor(context, frame, theme, x(cursor));
}

function drawGrid(
  context: CanvasRenderingContext2D,
  { width, height }: Frame,
  theme: Theme,
  endMs: number,
  labelled: boolean,
  x: (timeMs: number) => number,
): void {
  const bottom = height - AXIS;
  const labelEvery = width < 480 ? 5 : 2;
  context.textAlign = 'center';
  for (let s = Math.ceil((endMs - SPAN_MS) / 1_000); s <= endMs / 1_000; s += 1) {
    const at = x(s * 1_000);
    const isMajor = s % 5 === 0;
    line(context, isMajor ? theme.rule : theme.ruleSoft, at, STRIP, at, bottom);
    if (at < 20 || at > width - 20) continue;
    context.fillStyle = theme.ink;
    // Before there is a media time, how long ago it will be.
    if (!labelled && isMajor) context.fillText(`−${-s} s`, at, bottom + AXIS / 2);
    else if (labelled && s >= 0 && s % labelEvery === 0) context.fillText(formatClock(s), at, bottom + AXIS / 2);
  }
  line(context, theme.rule, 0, STRIP + 0.5, width, STRIP + 0.5);
  line(context, theme.rule, 0, bottom + 0.5, width, bottom + 0.5);
}

function drawBands(
  context: CanvasRenderingContext2D,
  { width, height }: Frame,
  theme: Theme,
  view: View,
  x: (timeMs: number) => number,
): void {
  context.textAlign = 'center';
  for (const { startMs, endMs } of view.segments) {
    const end = endMs ?? view.endMs;
    if (end < view.endMs - SPAN_MS || startMs > view.endMs) continue;
    const [left, right] = [Math.max(0, x(startMs)), Math.min(width, x(end))];
    context.fillStyle = theme.speechWash;
    context.fillRect(left, STRIP, right - left, height - AXIS - STRIP);
    context.fillStyle = theme.speech;
    roundRect(context, left, 4, Math.max(2, right - left), STRIP - 8, 3);
    const length = ((end - startMs) / 1_000).toFixed(2);
    // What does not fit is read with the cursor.
    const label = [`${length} s`, length].find((text) => right - left > context.measureText(text).width + 6);
    if (label !== undefined) {
      context.fillStyle = theme.speechInk;
      context.fillText(label, (left + right) / 2, STRIP / 2 + 0.5);
    }
  }
}

/** The envelope, mirrored about the middle. A filled path keeps its shape while it moves by fractions of a pixel. */
function drawLevel(
  context: CanvasRenderingContext2D,
  { height }: Frame,
  theme: Theme,
  view: View,
  x: (timeMs: number) => number,
): void {
  const { level, levelShiftMs, endMs } = view;
  const middle = (STRIP + height - AXIS) / 2;
  const reach = (height - AXIS - STRIP) / 2 - PAD;
  const first = level.lowerBound(endMs - SPAN_MS - levelShiftMs - GAP_MS);
  const timeAt = (i: number): number => level.time(i) + levelShiftMs;
  // The square root of the amplitude: quiet speech is seen, noise stays small.
  const halfAt = (i: number, which: number): number => reach * Math.min(1, 10 ** (level.value(i, which) / 40));
  for (let from = first; from < level.length && timeAt(from) <= endMs; ) {
    let to = from + 1;
    while (to < level.length && timeAt(to - 1) <= endMs && timeAt(to) - timeAt(to - 1) <= GAP_MS) to += 1;
    for (const [which, colour] of [[PEAK, theme.peak], [RMS, theme.level]] as const) {
      context.beginPath();
      for (let i = from; i < to; i += 1) context.lineTo(x(timeAt(i)), middle - halfAt(i, which));
      for (let i = to - 1; i >= from; i -= 1) context.lineTo(x(timeAt(i)), middle + halfAt(i, which));
      context.fillStyle = colour;
      context.fill();
    }
    from = to;
  }
}

function drawThreshold(context: CanvasRenderingContext2D, frame: Frame, theme: Theme, view: View): void {
  if (view.threshold === undefined) return;
  const y = Math.round(probabilityY(frame, view.threshold)) + 0.5;
  context.setLineDash([5, 4]);
  line(context, theme.threshold, 0, y, frame.width, y);
  context.setLineDash([]);
  drawLabel(context, theme, view.threshold.toFixed(2), y, theme.threshold);
}

function drawProbability(
  context: CanvasRenderingContext2D,
  frame: Frame,
  theme: Theme,
  view: View,
  x: (timeMs: number) => number,
): void {
  const { probability, endMs } = view;
  const half = windowLength(probability) / 2;
  context.beginPath();
  let previous = Number.NEGATIVE_INFINITY;
  for (let i = probability.lowerBound(endMs - SPAN_MS - GAP_MS); i < probability.length; i += 1) {
    // A window's value belongs to its middle.
    const timeMs = probability.time(i) + half;
    const y = probabilityY(frame, probability.value(i, 0));
    if (timeMs - previous > GAP_MS) context.moveTo(x(timeMs), y);
    else context.lineTo(x(timeMs), y);
    previous = timeMs;
    if (timeMs > endMs) break;
  }
  context.strokeStyle = theme.probability;
  context.lineWidth = 1.75;
  context.lineJoin = 'round';
  context.stroke();
}

function drawScale(context: CanvasRenderingContext2D, frame: Frame, theme: Theme): void {
  for (const value of [1, 0]) drawLabel(context, theme, String(value), probabilityY(frame, value), theme.ink);
}

/** A value at the left edge, legible over whatever is behind it. */
function drawLabel(context: CanvasRenderingContext2D, theme: Theme, label: string, y: number, colour: string): void {
  context.textAlign = 'left';
  context.fillStyle = theme.sunken;
  context.fillRect(0, y - 7, context.measureText(label).width + 12, 14);
  context.fillStyle = colour;
  context.fillText(label, 6, y + 0.5);
}

function drawCursor(context: CanvasRenderingContext2D, { height }: Frame, theme: Theme, x: number): void {
  line(context, theme.ink, Math.round(x) + 0.5, 0, Math.round(x) + 0.5, height - AXIS);
}

function probabilityY({ height }: Frame, probability: number): number {
  const [top, bottom] = [STRIP + PAD, height - AXIS - PAD];
  return bottom - probability * (bottom - top);
}

function line(context: CanvasRenderingContext2D, colour: string, x0: number, y0: number, x1: number, y1: number): void {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.lineWidth = 1;
  context.strokeStyle = colour;
  context.stroke();
}

function roundRect(context: CanvasRenderingContext2D, x: number, y: number, width: number, height: number, radius: number): void {
  context.beginPath();
  context.roundRect(x, y, width, height, Math.min(radius, width / 2));
  context.fill();
}

/** `2:05`. */
export function formatClock(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;
}

/** `2:05.320`. */
export function formatTime(ms: number): string {
  const whole = Math.max(0, Math.round(ms));
  return `${formatClock(whole / 1_000)}.${String(whole % 1_000).padStart(3, '0')}`;
}
