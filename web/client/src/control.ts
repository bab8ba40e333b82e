import { ClientError } from './errors.ts';
import type { ControlMessage, ReplyMessage } from './messages.ts';

/** Control messages that wait for their reply; the server takes no more either. */
export const MAX_WAITING = 64;
/** How long a reply may take. */
export const REPLY_TIMEOUT_MS = 5_000;

interface Waiting {
  readonly resolve: (reply: ReplyMessage) => void;
  readonly reject: (error: ClientError) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** Sends control messages and gives each its reply. */
export class Control {
  readonly #waiting = new Map<number, Waiting>();
  readonly #send: (text: string) => boolean;
  #nextId = 1;

  /** `send` says false when there is no open channel. */
  constructor(send: (text: string) => boolean) {
    this.#send = send;
  }

  /** Resolves with the reply; rejects with `control_refused`, `no_reply` or `not_live`. */
  request(message: ControlMessage): Promise<ReplyMessage> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.size >= MAX_WAITING) {
        reject(new ClientError('control_refused', `${MAX_WAITING} control messages wait already.`, 'Wait for their replies.'));
        return;
      }
      const id = this.#nextId++;
      if (!this.#send(JSON.stringify({ ...message, id }))) {
        reject(notLive());
        return;
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new ClientError('no_reply', `No reply to "${message.type}" within ${REPLY_TIMEOUT_MS / 1_000} s.`, 'Try again.'));
      }, REPLY_TIMEOUT_MS);
      this.#waiting.set(id, { resolve, reject, timer });
    });
  }

  /** Hands a reply to whoever waits; one that nobody waits for is passed over. */
  handle(reply: ReplyMessage): void {
    const waiting = typeof reply.id === 'number' ? this.#take(reply.id) : undefined;
    if (!waiting) return;
    if (reply.type === 'error') {
      const { code, message, field, hint } = reply.data;
      waiting.reject(
        new ClientError('control_refused', message, hint ?? 'Correct the message and send it again.', {
          serverCode: code,
          ...(field === undefined ? {} : { field }),
        }),
      );
    } else {
      waiting.resolve(reply);
    }
  }

  /** Rejects all that wait: their channel is gone. */
  close(): void {
    for (const id of [...this.#waiting.keys()]) this.#take(id)?.reject(notLive());
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (waiting) clearTimeout(waiting.timer);
    return waiting;
  }
}

function notLive(): ClientError {
  return new ClientError('not_live', 'There is no live session.', 'Wait until the state is live.');
}
