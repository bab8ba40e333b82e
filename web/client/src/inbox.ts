import { ClientError } from './errors.ts';
import { SeenSeqs } from './dedup.ts';
import { isRecord } from './json.ts';
import type { ReplyMessage, ResultMessage } from './messages.ts';

/** What one text on a channel was. */
export type Inbound =
  | { readonly kind: 'result'; readonly message: ResultMessage }
  | { readonly kind: 'reply'; readonly reply: ReplyMessage }
  /** The second copy of an event, or a type of a later version: to be passed over. */
  | { readonly kind: 'ignored' }
  | { readonly kind: 'invalid'; readonly error: ClientError };

const RESULT_TYPES: ReadonlySet<string> = new Set<ResultMessage['type']>([
  'vad',
  'speech_started',
  'speech_stopped',
  'level',
  'node',
  'transcript',
  'metrics',
  'error',
  'ready',
  'bye',
  'coalesced',
]);
const REPLY_TYPES: ReadonlySet<string> = new Set<ReplyMessage['type']>([
  'pong',
  'configured',
  'accepted',
  'interrupted',
  'flushed',
  'error',
]);

/** Reads what comes on the channels of one session, whichever of them it came on. */
export class Inbox {
  readonly #seen = new SeenSeqs();

  /** `isLive`: it came on the channel without order. */
  read(text: string, isLive = false): Inbound {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      return invalid('a message that is not JSON', error);
    }
    if (!isRecord(value) || typeof value['type'] !== 'string') {
      return invalid('a message without a type');
    }
    if (value['v'] !== 1) return invalid(`version ${JSON.stringify(value['v'])} of the protocol`);
    const { type, seq } = value as { type: string; seq?: unknown };
    // A reply has no `seq`: that tells its errors from those among the results.
    if (seq === undefined) {
      if (!REPLY_TYPES.has(type)) return { kind: 'ignored' };
      return { kind: 'reply', reply: value as unknown as ReplyMessage };
    }
    if (typeof seq !== 'number' || !hasHeader(value)) return invalid(`a "${type}" with a broken header`);
    if (!RESULT_TYPES.has(type)) return { kind: 'ignored' };
    // The farewell counts where it is the last: on the other channel it may overtake events.
    if (type === 'bye' && isLive) return { kind: 'ignored' };
    if (!this.#seen.isNew(seq)) return { kind: 'ignored' };
    return { kind: 'result', message: value as unknown as ResultMessage };
  }
}

function hasHeader(value: Record<string, unknown>): boolean {
  return (
    typeof value['node'] === 'string' &&
    typeof value['participant'] === 'string' &&
    typeof value['stream'] === 'string' &&
    typeof value['pts_ms'] === 'number' &&
    typeof value['latency_ms'] === 'number' &&
    (value['type'] === 'node' ? 'data' in value : isRecord(value['data']))
  );
}

function invalid(what: string, cause?: unknown): Inbound {
  const error = new ClientError(
    'protocol',
    `The server sent ${what}.`,
    'Page and server may be of different versions: reload the page.',
    { cause },
  );
  return { kind: 'invalid', error };
}
