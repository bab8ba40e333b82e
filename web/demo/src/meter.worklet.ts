// Runs on the audio thread: loudness of every sample, also while the page is hidden.

declare abstract class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, type: new () => AudioWorkletProcessor): void;
declare const currentFrame: number;
declare const sampleRate: number;

/** Samples a reading: 11 ms at 48 kHz. */
const BLOCK = 512;

class Meter extends AudioWorkletProcessor {
  #count = 0;
  #squares = 0;
  #peak = 0;

  process([input]: Float32Array[][]): boolean {
    const channel = input?.[0];
    // Without an input there is nothing to read yet; the node stays.
    if (!channel) return true;
    for (const sample of channel) {
      this.#squares += sample * sample;
      this.#peak = Math.max(this.#peak, Math.abs(sample));
    }
    this.#count += channel.length;
    if (this.#count >= BLOCK) {
      const timeMs = ((currentFrame + channel.length - this.#count) / sampleRate) * 1_000;
      this.port.postMessage([timeMs, Math.sqrt(this.#squares / this.#count), this.#peak]);
      this.#count = this.#squares = this.#peak = 0;
    }
    return true;
  }
}

registerProcessor('meter', Meter);
