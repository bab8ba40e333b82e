import type { Environment } from './environment.ts';
import { ClientError, insecurePage, microphoneError } from './errors.ts';
import { openFile } from './file.ts';

/** What the session sends. */
export type MediaInput =
  | {
      readonly kind: 'microphone';
      /** From {@link listMicrophones}; the browser's default when absent. */
      readonly deviceId?: string;
      /** On top of {@link RAW_AUDIO}. */
      readonly constraints?: MediaTrackConstraints;
    }
  | { readonly kind: 'file'; readonly file: Blob; readonly loop?: boolean }
  | { readonly kind: 'stream'; readonly stream: MediaStream }
  /** For a pipeline with several sources: a track for each, in its order. Whoever made them stops them. */
  | { readonly kind: 'tracks'; readonly tracks: readonly MediaStreamTrack[] }
  /** Sends nothing: a listener, who joins a session of others. */
  | { readonly kind: 'none' };

/** An open input. The session owns it and stops it. */
export interface MediaSource {
  readonly kind: MediaInput['kind'];
  readonly stream: MediaStream | undefined;
  /** The first of {@link MediaSource.tracks}. */
  readonly track: MediaStreamTrack | undefined;
  readonly tracks: readonly MediaStreamTrack[];
  /** The whole length, where it has one. */
  readonly durationMs: number | undefined;
  /** Called once it is connected, so that nothing of a file is lost before. */
  start(): void;
  /** Calls `listener` when it ended by itself: the file is over or the device is gone. */
  onEnded(listener: () => void): void;
  stop(): void;
}

/** What the microphone hears, unprocessed: the pipeline is what analyses it. */
export const RAW_AUDIO: MediaTrackConstraints = {
  channelCount: 1,
  echoCancellation: false,
  noiseSuppression: false,
  autoGainControl: false,
};

/** Opens an input; throws a {@link ClientError} that says what to do. */
export async function openMedia(input: MediaInput, environment: Environment): Promise<MediaSource> {
  switch (input.kind) {
    case 'none':
      return nothing();
    case 'file':
      return openFile(input.file, input.loop ?? false, environment);
    case 'stream':
      return streamSource('stream', input.stream, false);
    case 'tracks':
      return trackSource(input.tracks);
    case 'microphone': {
      const { mediaDevices } = environment;
      if (!mediaDevices) {
        throw environment.isSecureContext
          ? new ClientError('unsupported_browser', 'This browser gives pages no microphone.', 'Use a current Firefox, Chrome, Edge or Safari, or choose a file as the source.')
          : insecurePage();
      }
      const audio: MediaTrackConstraints = {
        ...RAW_AUDIO,
        ...(input.deviceId ? { deviceId: { exact: input.deviceId } } : {}),
        ...input.constraints,
      };
      const stream = await mediaDevices.getUserMedia({ audio }).catch((error: unknown) => {
        throw microphoneError(error);
      });
      return streamSource('microphone', stream, true);
    }
  }
}

/** The microphones there are. Names are empty until the page was allowed to use one. */
export async function listMicrophones(
  mediaDevices: MediaDevices | undefined,
): Promise<MediaDeviceInfo[]> {
  if (!mediaDevices) return [];
  const devices = await mediaDevices.enumerateDevices();
  return devices.filter((device) => device.kind === 'audioinput' && device.deviceId !== '');
}

function streamSource(kind: MediaInput['kind'], stream: MediaStream, owned: boolean): MediaSource {
  const track = stream.getAudioTracks()[0];
  if (!track) {
    throw new ClientError('no_device', 'The stream has no audio track.', 'Give a stream with audio.');
  }
  return {
    kind,
    stream,
    track,
    tracks: [track],
    durationMs: undefined,
    start: () => undefined,
    onEnded: (listener) => {
      track.addEventListener('ended', listener, { once: true });
    },
    stop: () => {
      if (owned) for (const each of stream.getTracks()) each.stop();
    },
  };
}

/** A track that ends is silent from then on; the others go on. */
function trackSource(tracks: readonly MediaStreamTrack[]): MediaSource {
  if (!tracks.some(({ kind }) => kind === 'audio') || tracks.some(({ kind }) => kind !== 'audio')) {
    throw new ClientError('no_device', 'The tracks are not all audio.', 'Give one track of audio or more.');
  }
  return { ...nothing(), kind: 'tracks', track: tracks[0], tracks };
}

function nothing(): MediaSource {
  return {
    kind: 'none',
    stream: undefined,
    track: undefined,
    tracks: [],
    durationMs: undefined,
    start: () => undefined,
    onEnded: () => undefined,
    stop: () => undefined,
  };
}
