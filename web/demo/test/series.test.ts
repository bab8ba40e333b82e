import { describe, expect, it } from 'vitest';
import { Series } from '../src/series.ts';

const times = (series: Series): number[] => Array.from({ length: series.length }, (_, i) => series.time(i));
const values = (series: Series): number[] => Array.from({ length: series.length }, (_, i) => series.value(i));

function filled(capacity: number, ...points: number[]): Series {
  const series = new Series(capacity, 1);
  for (const point of points) series.push(point, 10 * point);
  return series;
}

describe('Series', () => {
  it('keeps time order whatever order points come in', () => {
    const series = filled(8, 1, 4, 2, 5, 3);
    expect(times(series)).toEqual([1, 2, 3, 4, 5]);
    expect(values(series)).toEqual([10, 20, 30, 40, 50]);
  });

  it('forgets the oldest and takes none older', () => {
    const series = filled(3, 1, 2, 3, 4);
    series.push(0, 0);
    expect(times(series)).toEqual([2, 3, 4]);
  });

  it('keeps order across its own end', () => {
    const series = filled(4, 1, 2, 3, 4, 5, 6, 8, 7);
    expect(times(series)).toEqual([5, 6, 7, 8]);
    expect(values(series)).toEqual([50, 60, 70, 80]);
  });

  it('finds by time', () => {
    const series = filled(8, 10, 20, 30);
    expect([5, 20, 21, 31].map((time) => series.lowerBound(time))).toEqual([0, 1, 2, 3]);
    expect([5, 20, 29, 35, 100].map((time) => series.at(time, 9))).toEqual([-1, 1, 1, 2, -1]);
  });

  it('gives a copy that stays', () => {
    const series = filled(3, 1, 2, 3, 4);
    const copy = series.clone();
    series.push(5, 50);
    expect(values(copy)).toEqual([20, 30, 40]);
  });
});
