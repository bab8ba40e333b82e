import { sleep, type Environment } from './environment.ts';
import { ClientError } from './errors.ts';
import type { MediaSource } from './media.ts';

/** A context without an output device may never start, and never say so (Firefox). */
const START_MS = 3_000;

/** Decodes a file and plays it, unheard, into a stream that can be sent. */
export async function openFile(
  file: Blob,
  loop: boolean,
  environment: Pick<Environment, 'createAudioContext'>,
): Promise<MediaSource> {
  const context = environment.createAudioContext();
  let buffer: AudioBuffer;
  try {
    buffer = await context.decodeAudioData(await file.arrayBuffer());
  } catch (error) {
    void context.close();
    throw new ClientError(
      'bad_file',
      `${file instanceof File ? file.name : 'The file'} cannot be decoded as audio.`,
      'Choose a WAV, FLAC, MP3, Ogg or M4A file.',
      { cause: error },
    );
  }
  await startClock(context);
  const destination = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
  const player = new AudioBufferSourceNode(context, { buffer, loop });
  player.connect(destination);
  let state: 'waiting' | 'playing' | 'stopped' = 'waiting';
  const tracks = destination.stream.getAudioTracks();
  return {
    kind: 'file',
    stream: destination.stream,
    track: tracks[0],
    tracks,
    durationMs: buffer.duration * 1_000,
    start: () => {
      // A second start would be after a reconnect: the file plays on.
      if (state !== 'waiting') return;
      state = 'playing';
      player.start();
    },
    onEnded: (listener) => {
      player.addEventListener('ended', () => {
        if (state === 'playing') listener();
      });
    },
    stop: () => {
      if (state === 'stopped') return;
      const wasPlaying = state === 'playing';
      state = 'stopped';
      if (wasPlaying) player.stop();
      for (const track of destination.stream.getTracks()) track.stop();
      void context.close();
    },
  };
}

async function startClock(context: AudioContext): Promise<void> {
  const late = new AbortController();
  try {
    const started = await Promise.race([
      context.resume().then(() => true),
      sleep(START_MS, late.signal).then(() => false),
    ]);
    if (started) return;
  } finally {
    late.abort();
  }
  void context.close();
  throw new ClientError(
    'unsupported_browser',
    'This browser does not start to play the file.',
    'It may need an audio output: plug in headphones or speakers, or use another browser.',
  );
}
