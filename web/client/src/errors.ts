/** What can go wrong, as codes that stay the same from version to version. */
export type ClientErrorCode =
  /** The user or the browser's settings refused the microphone. */
  | 'permission_denied'
  /** There is no microphone, or the chosen one is gone. */
  | 'no_device'
  /** The microphone is there but cannot be opened: another program holds it. */
  | 'device_busy'
  /** The page is not secure, so the browser gives it no microphone. */
  | 'insecure_page'
  /** The browser lacks something that is needed. */
  | 'unsupported_browser'
  /** The file is not audio that this browser can decode. */
  | 'bad_file'
  /** No answer from the server. */
  | 'server_gone'
  /** The server takes no more sessions for now. */
  | 'server_full'
  /** The server is shutting down. */
  | 'server_draining'
  /** No pipeline has that name. */
  | 'unknown_pipeline'
  /** The session to join has ended or never was. */
  | 'unknown_session'
  /** The server refused the request for another reason. */
  | 'refused'
  /** Signaling works, but no media path was found. */
  | 'connection_failed'
  /** The connection was live and broke. */
  | 'connection_lost'
  /** The server ended the session because of an error. */
  | 'ended_by_server'
  /** A control message was refused. */
  | 'control_refused'
  /** A control message was not answered in time. */
  | 'no_reply'
  /** The call needs a live session. */
  | 'not_live'
  /** The other side sent something that is not in the protocol. */
  | 'protocol';

/** What a {@link ClientError} may know beside its code. */
export interface ErrorDetails {
  /** The server's own code, `RM-` and four digits. */
  readonly serverCode?: string;
  /** The field that the server names. */
  readonly field?: string;
  /** How long the server asks to wait, in milliseconds. */
  readonly retryAfterMs?: number;
  /** The pipelines that the server has, when it has not the one asked for. */
  readonly pipelines?: readonly string[];
  readonly cause?: unknown;
}

/** An error with a stable code, what happened (`message`) and what to do about it (`advice`). */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly code: ClientErrorCode;
  /** What the user can do, in one or two sentences. */
  readonly advice: string;
  readonly details: ErrorDetails;

  constructor(code: ClientErrorCode, message: string, advice: string, details: ErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.advice = advice;
    this.details = details;
  }

  /** Whether trying again by itself may help. */
  get retryable(): boolean {
    return RETRYABLE.has(this.code);
  }
}

const RETRYABLE: ReadonlySet<ClientErrorCode> = new Set<ClientErrorCode>([
  'server_gone',
  'server_full',
  'server_draining',
  'connection_failed',
  'connection_lost',
]);

/** Any thrown value as a {@link ClientError}; what is one already stays itself. */
export function toClientError(error: unknown): ClientError {
  if (error instanceof ClientError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new ClientError('protocol', `Unexpected: ${text}`, 'Reload the page and try again.', {
    cause: error,
  });
}

/** What `getUserMedia` threw, in words. `origin` is the page's. */
export function microphoneError(error: unknown): ClientError {
  const name = error instanceof Error ? error.name : '';
  const details = { cause: error };
  switch (name) {
    case 'NotAllowedError':
    case 'PermissionDeniedError':
      return new ClientError(
        'permission_denied',
        'The microphone was not allowed.',
        'Allow it in the address bar of the browser (and in the settings of the system), then start again. Or choose a file as the source.',
        details,
      );
    case 'NotFoundError':
    case 'OverconstrainedError':
      return new ClientError(
        'no_device',
        'No microphone was found.',
        'Plug one in or choose another device, then start again. A file works too.',
        details,
      );
    case 'NotReadableError':
    case 'AbortError':
      return new ClientError(
        'device_busy',
        'The microphone cannot be opened.',
        'Another program may be holding it: close that, or choose another device.',
        details,
      );
    case 'SecurityError':
      return insecurePage();
    default:
      return toClientError(error);
  }
}

/** The page may not have a microphone because it is not secure. */
export function insecurePage(): ClientError {
  return new ClientError(
    'insecure_page',
    'This page is not secure, so the browser gives it no microphone.',
    'Start the server with --tls and open the https:// address that it prints, or open the page on the same machine at 127.0.0.1. A file works as a source either way.',
  );
}

/** A `bye` with a code: the server ended the session because of an error. */
export function byeError(reason: string, serverCode: string): ClientError {
  const details = { serverCode };
  if (serverCode === 'RM-6002') {
    return new ClientError('server_draining', 'The server is shutting down.', 'It will be tried again by itself.', details);
  }
  // 3xxx are faults of media and transport, which another connection may not have.
  if (serverCode.startsWith('RM-3')) {
    return new ClientError('connection_lost', reason, 'It will be tried again by itself.', details);
  }
  return new ClientError('ended_by_server', reason, 'Start again; the server’s log says more.', details);
}
