import { MediaClock } from './clock.ts';
import meterUrl from './meter.worklet.ts?worker&url';
import { Series } from './series.ts';

const POINTS = 4_096;
export const FLOOR_DBFS = -120;
/** Samples a reading where the audio thread cannot be used. */
const WINDOW = 1_024;
const INTERVAL_MS = 15;

/**
 * The input's own level, for pipelines that do not measure it. Times are those of its audio
 * context; {@link LevelMeter.clock} maps the page's to them.
 */
export class LevelMeter {
  /** RMS and peak in dBFS. */
  series = new Series(POINTS, 2);
  clock = new MediaClock();
  #context: AudioContext | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Listens to another input; undefined to none. What was read of the last one is forgotten. */
  listen(stream: MediaStream | undefined): void {
    this.stop();
    this.series = new Series(POINTS, 2);
    this.clock = new MediaClock();
    if (!stream) return;
    const context = new AudioContext();
    // Some browsers start it only when asked, though a microphone is open.
    void context.resume();
    this.#context = context;
    let source: MediaStreamAudioSourceNode;
    try {
      source = context.createMediaStreamSource(stream);
    } catch {
      // Firefox cannot join contexts of different rates: then only the pipeline's own level is drawn.
      this.stop();
      return;
    }
    // Pages that are not secure have no worklets.
    if (!('audioWorklet' in context)) this.#poll(context, source);
    else this.#work(context, source).catch(() => undefined);
  }

  /** Reads no more; what was read stays. */
  stop(): void {
    clearInterval(this.#timer);
    if (this.#context) void this.#context.close();
    this.#context = undefined;
  }

  async #work(context: AudioContext, source: MediaStreamAudioSourceNode): Promise<void> {
    await context.audioWorklet.addModule(meterUrl);
    if (this.#context !== context) return;
    const node = new AudioWorkletNode(context, 'meter', { numberOfOutputs: 0, channelCount: 1, channelCountMode: 'explicit' });
    node.port.onmessage = ({ data: [timeMs, rms, peak] }: MessageEvent<[number, number, number]>) => {
      if (this.#context === context) this.#add(timeMs, rms, peak);
    };
    source.connect(node);
  }

  #poll(context: AudioContext, source: MediaStreamAudioSourceNode): void {
    const analyser = new AnalyserNode(context, { fftSize: WINDOW });
    const window = new Float32Array(WINDOW);
    source.connect(analyser);
    this.#timer = setInterval(() => {
      analyser.getFloatTimeDomainData(window);
      let [peak, squares] = [0, 0];
      for (const sample of window) {
        peak = Math.max(peak, Math.abs(sample));
        squares += sample * sample;
      }
      this.#add(context.currentTime * 1_000, Math.sqrt(squares / WINDOW), peak);
    }, INTERVAL_MS);
  }

  #add(timeMs: number, rms: number, peak: number): void {
    this.clock.observe(performance.now(), timeMs, 0);
    this.series.push(timeMs, toDbfs(rms), toDbfs(peak));
  }
}

function toDbfs(amplitude: number): number {
  return amplitude > 0 ? Math.max(FLOOR_DBFS, 20 * Math.log10(amplitude)) : FLOOR_DBFS;
}
