import type { BackoffOptions } from './backoff.ts';
import type { MediaInput } from './media.ts';

/** What {@link connect} takes. */
export interface ConnectOptions {
  /** The server: `http://host:8080`, or with the pipeline as its path. */
  readonly url: string | URL;
  /** The pipeline's name; the last part of the path of `url` when absent. */
  readonly pipeline?: string;
  /** A running session to enter instead of a new one. */
  readonly join?: string;
  /** What to send; the default microphone when absent. */
  readonly media?: MediaInput;
  /** False takes no audio back, though the pipeline sends some. */
  readonly hear?: boolean;
  /** False leaves out the `live` channel: every result is then reliable and in order. */
  readonly live?: boolean;
  /** False ends the session when the connection breaks. */
  readonly reconnect?: boolean | Partial<BackoffOptions>;
  /** False keeps the session after a file's end. */
  readonly endWithMedia?: boolean;
  /** In place of what the server says. */
  readonly iceServers?: RTCIceServer[];
}

/** {@link ConnectOptions} with nothing left open. */
export interface ResolvedOptions {
  readonly url: URL;
  readonly pipeline: string;
  readonly join: string | undefined;
  readonly media: MediaInput;
  readonly hear: boolean;
  readonly live: boolean;
  readonly reconnect: BackoffOptions | undefined;
  readonly endWithMedia: boolean;
  readonly iceServers: RTCIceServer[] | undefined;
}
