import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const css = readFileSync(new URL('../src/styles/tokens.css', import.meta.url), 'utf8');
const [light = '', dark = ''] = css.split('@media (prefers-color-scheme: dark)');

function tokens(text: string): Map<string, string> {
  return new Map([...text.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6})\b/g)].map(([, name = '', value = '']) => [name, value]));
}

/** Relative luminance (WCAG 2.2). */
function luminance(colour: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

// AA: 4.5 for text, 3 for lines and marks that carry meaning.
const PAIRS: [string, string, number][] = [
  ...['ground', 'surface', 'sunken'].flatMap((back): [string, string, number][] => [
    ['ink', back, 4.5],
    ['ink-soft', back, 4.5],
    ['bad', back, 4.5],
  ]),
  ['good', 'ground', 4.5],
  ['busy', 'ground', 4.5],
  ['answer', 'ground', 4.5],
  ['action-ink', 'action', 4.5],
  ['stop-ink', 'stop', 4.5],
  ['speech-ink', 'speech', 4.5],
  ['threshold', 'sunken', 4.5],
  ['probability', 'sunken', 3],
  ['probability', 'level', 3],
  ['focus', 'ground', 3],
];

describe.each([
  ['light', tokens(light)],
  ['dark', tokens(dark)],
])('the %s colours', (_, theme) => {
  it.each(PAIRS)('%s on %s reach %d', (front, back, least) => {
    expect(contrast(theme.get(front) ?? '', theme.get(back) ?? '')).toBeGreaterThanOrEqual(least);
  });
});
