import { DEFAULT_BACKOFF } from './backoff.ts';
import { browserEnvironment, type Environment } from './environment.ts';
import { ClientError } from './errors.ts';
import { Api, type PipelineInfo } from './http.ts';
import type { ConnectOptions, ResolvedOptions } from './options.ts';
import { Session } from './session.ts';

/**
 * Opens a session with a pipeline. Returns at once: add listeners, then watch `state`. Everything
 * that can go wrong arrives there.
 *
 * ```ts
 * const session = connect({ url: 'http://127.0.0.1:8080/mic-vad' });
 * session.on('speech_stopped', ({ data }) => console.log(data.start_ms, data.duration_ms));
 * session.on('audio', (stream) => { player.srcObject = stream; }); // where the pipeline sends audio
 * session.on('state', (state) => console.log(state.name));
 * ```
 */
export function connect(options: ConnectOptions, environment: Environment = browserEnvironment()): Session {
  return new Session(resolve(options), environment);
}

/** What the server at `url` serves. */
export function listPipelines(
  url: string | URL,
  { signal = new AbortController().signal, environment = browserEnvironment() }: { signal?: AbortSignal; environment?: Environment } = {},
): Promise<PipelineInfo[]> {
  return new Api(url, environment).pipelines(signal);
}

function resolve(options: ConnectOptions): ResolvedOptions {
  const url = new URL(options.url);
  const pipeline = options.pipeline ?? decodeURIComponent(url.pathname.split('/').filter(Boolean).at(-1) ?? '');
  if (pipeline === '' && options.join === undefined) {
    throw new ClientError('unknown_pipeline', 'No pipeline is named.', 'Give its name as `pipeline` or as the path of `url`.');
  }
  const { reconnect = true } = options;
  return {
    url,
    pipeline,
    join: options.join,
    media: options.media ?? { kind: 'microphone' },
    hear: options.hear ?? true,
    live: options.live ?? true,
    reconnect: reconnect === false ? undefined : { ...DEFAULT_BACKOFF, ...(reconnect === true ? {} : reconnect) },
    endWithMedia: options.endWithMedia ?? true,
    iceServers: options.iceServers,
  };
}
