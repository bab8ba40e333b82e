import type { ClientError, ResultMessage, SessionInfo } from '@remotemedia/client';
import { formatTime } from './draw.ts';

/** One line of the list of events. */
export interface EventRow {
  readonly kind: 'speech' | 'node' | 'error' | 'note' | 'sent';
  /** Media time, or empty. */
  readonly time: string;
  readonly title: string;
  readonly detail: string;
  /** A traceback. */
  readonly long: string | undefined;
  /** The message as JSON, for the copy. */
  readonly json: string;
  /** Whose row it is: quick successions of one group become one row with a count. */
  readonly group: string | undefined;
  /** What it says beside numbers: while that stays the same, the newest row takes the next one in. */
  readonly shape: string;
}

/** The row of a result; undefined for those that the picture or the figures show. */
export function rowOf(message: ResultMessage, speaker: string): EventRow | undefined {
  const base = { time: formatTime(message.pts_ms), long: undefined, json: JSON.stringify(message), group: undefined, shape: '' };
  const of = speaker ? ` · ${speaker}` : '';
  switch (message.type) {
    case 'speech_started':
      return { ...base, kind: 'speech', title: 'Speech started', detail: `probability ${message.data.probability.toFixed(2)}${of}` };
    case 'speech_stopped':
      return { ...base, kind: 'speech', title: 'Speech stopped', detail: `after ${(message.data.duration_ms / 1_000).toFixed(2)} s${of}` };
    case 'node':
      return { ...base, kind: 'node', title: message.node, detail: `${summarise(message.data)}${of}`, group: `${message.node} ${speaker}`, shape: shapeOf(message.data) };
    case 'transcript':
      return { ...base, kind: 'node', title: message.data.final ? 'Transcript' : 'Transcript …', detail: `${message.data.text}${of}` };
    case 'error': {
      const { code, message: text, hint, traceback } = message.data;
      const detail = [text, hint].filter(Boolean).join(' ');
      return { ...base, kind: 'error', title: message.node || 'Error', detail: `${code} ${detail}`, long: traceback, group: `error ${message.node} ${code}` };
    }
    case 'coalesced':
      return { ...base, kind: 'note', time: '', title: 'Results left out', detail: `${message.data.count} replaced by newer ones: this page reads too slowly`, group: 'coalesced' };
    case 'bye':
      return { ...base, kind: 'note', time: '', title: 'Session ended', detail: message.data.reason };
    case 'ready': {
      const { participants, joined } = message.data;
      if (participants < 2) return undefined;
      return { ...base, kind: 'note', time: '', title: joined ? 'Session joined' : 'Session ready', detail: `${participants} participants` };
    }
    case 'vad':
    case 'level':
    case 'metrics':
      return undefined;
  }
}

/** The row of data that the user sent. */
export function sentRow(data: unknown, node: string | undefined): EventRow {
  const json = JSON.stringify({ type: 'input', ...(node === undefined ? {} : { node }), data });
  const title = node === undefined ? 'You sent' : `You sent to ${node}`;
  return { kind: 'sent', time: '', title, detail: summarise(data), long: undefined, json, group: undefined, shape: '' };
}

/** A row for what the page itself has to say. */
export function faultRow(error: ClientError): EventRow {
  return { kind: 'error', time: '', title: error.message, detail: error.advice, long: undefined, json: JSON.stringify({ code: error.code, message: error.message }), group: error.code, shape: '' };
}

/** The row that says a session is another one than before. */
export function sessionRow({ id, isNew, previousId }: SessionInfo): EventRow | undefined {
  if (!isNew || previousId === undefined) return undefined;
  return {
    kind: 'note',
    time: '',
    title: 'New session',
    detail: 'The connection was lost: this is a new session, media time begins at zero.',
    long: undefined,
    json: JSON.stringify({ session: id, previous: previousId }),
    group: undefined,
    shape: '',
  };
}

/** A value with its numbers left out. */
function shapeOf(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => (typeof each === 'number' ? 0 : each));
}

/** A value of a node in one line: `loud true, level 0.31`. */
export function summarise(value: unknown): string {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.entries(value).map(([name, each]) => `${name} ${inline(each)}`).join(', ');
  }
  return inline(value);
}

/** One value, numbers short enough to read. */
export function inline(value: unknown): string {
  if (typeof value === 'number' && !Number.isInteger(value)) return String(Number(value.toPrecision(4)));
  if (typeof value === 'string') return value;
  return JSON.stringify(value);
}
