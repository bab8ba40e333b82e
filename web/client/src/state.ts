import type { ClientError } from './errors.ts';

/** Where a session stands; one at a time. */
export type SessionState =
  /** Waiting for the user to allow the microphone, or for the file to be decoded. */
  | { readonly name: 'asking' }
  /** `attempt` counts from 1 since it was last live. */
  | { readonly name: 'connecting'; readonly attempt: number }
  | { readonly name: 'live'; readonly sessionId: string }
  /** Over, on purpose. */
  | { readonly name: 'ended'; readonly reason: EndReason; readonly detail: string }
  /**
   * Not connected. With `retryAt` (on the clock of `performance.now()`) it is tried again then;
   * without, it is over.
   */
  | { readonly name: 'failed'; readonly error: ClientError; readonly retryAt: number | undefined };

/** Who ended it: the page, its input (a file is over) or the server. */
export type EndReason = 'closed' | 'media_ended' | 'server';
