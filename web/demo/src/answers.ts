import type { NodeResult } from '@remotemedia/client';
import { byId, make, setText } from './dom.ts';
import { inline } from './event-rows.ts';
import { RecentValues } from './window-stats.ts';

/** Cards shown at most: one for each node and stream. */
const MAX_NODES = 16;
/** Fields of a value shown at most. */
const MAX_FIELDS = 24;
const RATE_SPAN_MS = 2_000;

interface Card {
  readonly element: HTMLElement;
  readonly name: HTMLElement;
  readonly rate: HTMLElement;
  readonly list: HTMLDListElement;
  readonly arrivals: RecentValues;
  latest: unknown;
  isDirty: boolean;
}

/** What the user's own nodes said last, one card a node. */
export class Answers {
  readonly #panel = byId('answers-panel', HTMLElement);
  readonly #root = byId('answers', HTMLDivElement);
  readonly #cards = new Map<string, Card>();

  /** Makes room for nodes that will answer, so that nothing moves when they do. */
  expect(nodes: readonly string[]): void {
    this.#cards.clear();
    this.#root.replaceChildren();
    for (const node of nodes) this.#card(node, node);
    this.#panel.hidden = nodes.length === 0;
  }

  /** `speaker` is empty while there is only one. */
  add({ node, participant, stream, data }: NodeResult, speaker: string, now: number): void {
    const key = `${node}\n${participant}\n${stream}`;
    // The room that was made for the node is for the first stream it speaks about.
    const expected = this.#cards.get(node);
    if (expected) {
      this.#cards.delete(node);
      this.#cards.set(key, expected);
    }
    const card = this.#card(key, node);
    if (!card) return;
    setText(card.name, speaker ? `${node} · ${speaker}` : node);
    card.latest = data;
    card.isDirty = true;
    card.arrivals.add(now, 1);
  }

  /** Puts what came into the page; called a few times a second however many came. */
  render(now: number): void {
    for (const card of this.#cards.values()) {
      const count = card.arrivals.values(now).length;
      setText(card.rate, count > 0 ? `${((count * 1_000) / RATE_SPAN_MS).toFixed(count < 4 ? 1 : 0)} /s` : '');
      if (!card.isDirty) continue;
      card.isDirty = false;
      showValue(card.list, card.latest);
    }
  }

  #card(key: string, node: string): Card | undefined {
    const known = this.#cards.get(key);
    if (known || this.#cards.size >= MAX_NODES) return known;
    const rate = make('small');
    const name = make('span', { text: node });
    const title = make('h3', {}, name, rate);
    const list = make('dl', {}, make('dt'), make('dd', { text: '–' }));
    const element = make('article', { className: 'answer' }, title, list);
    element.dataset['testid'] = 'answer';
    element.dataset['node'] = node;
    const card = { element, name, rate, list, arrivals: new RecentValues(RATE_SPAN_MS, 256), latest: undefined, isDirty: false };
    this.#cards.set(key, card);
    this.#root.append(element);
    this.#panel.hidden = false;
    return card;
  }
}

/** Rows are reused while the fields stay the same, so that a value can be selected and nothing jumps. */
function showValue(list: HTMLDListElement, value: unknown): void {
  const fields: [string, unknown][] =
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.entries(value).slice(0, MAX_FIELDS)
      : [['', value]];
  const names = fields.map(([name]) => name).join('\n');
  if (list.dataset['names'] !== names || list.children.length !== 2 * fields.length) {
    list.dataset['names'] = names;
    list.replaceChildren(...fields.flatMap(([name]) => [make('dt', { text: name }), make('dd')]));
  }
  fields.forEach(([, each], i) => {
    const cell = list.children[2 * i + 1];
    if (cell) setText(cell, inline(each));
  });
}
