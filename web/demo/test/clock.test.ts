import { describe, expect, it } from 'vitest';
import { MediaClock } from '../src/clock.ts';

/** Feeds windows of 20 ms with a delay each, and returns the clock and the time. */
function run(clock: MediaClock, fromMs: number, count: number, delay: (i: number) => number): number {
  for (let i = 0; i < count; i += 1) clock.observe(fromMs + 20 * i + delay(i), fromMs + 20 * i, 0);
  return fromMs + 20 * count;
}

describe('MediaClock', () => {
  it('is not set before anything came', () => {
    expect(new MediaClock().at(5)).toBeNaN();
  });

  it('follows the least delayed, whatever the jitter', () => {
    const clock = new MediaClock();
    const end = run(clock, 0, 90, (i) => 30 + ((i * 7) % 40));
    expect(clock.at(end)).toBe(end - 30);
  });

  it('does not count the server’s own latency', () => {
    const clock = new MediaClock();
    clock.observe(100, 20, 50);
    expect(clock.at(100)).toBe(70);
  });

  it('runs evenly while the delay changes', () => {
    const clock = new MediaClock();
    let now = run(clock, 0, 250, () => 30);
    const shown = [clock.at(now)];
    // The path becomes 60 ms longer.
    for (let i = 0; i < 600; i += 1) {
      clock.observe(now + 90, now, 0);
      now += 20;
      shown.push(clock.at(now + 90));
    }
    const steps = shown.slice(2).map((time, i) => time - (shown[i + 1] ?? 0));
    expect(Math.max(...steps)).toBeLessThanOrEqual(20 * 1.021);
    expect(Math.min(...steps)).toBeGreaterThanOrEqual(20 * 0.979);
    expect(clock.at(now + 90)).toBeCloseTo(now, 0);
  });

  it('goes to another timeline at once', () => {
    const clock = new MediaClock();
    const end = run(clock, 0, 50, () => 10);
    clock.at(end);
    for (let i = 0; i < 200; i += 1) clock.observe(end + i, 500_000 + i, 0);
    expect(clock.at(end + 200)).toBeCloseTo(500_200, 0);
  });
});
