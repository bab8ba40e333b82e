/** What the client takes from the browser. Tests give their own where no browser is. */
export interface Environment {
  readonly fetch: typeof fetch;
  readonly createPeer: (configuration: RTCConfiguration) => RTCPeerConnection;
  readonly createAudioContext: () => AudioContext;
  readonly mediaDevices: MediaDevices | undefined;
  readonly isSecureContext: boolean;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
  /** A number in [0, 1). */
  readonly random: () => number;
}

/** The page's own browser. */
export function browserEnvironment(): Environment {
  return {
    fetch: (input, init) => fetch(input, init),
    createPeer: (configuration) => new RTCPeerConnection(configuration),
    // 48 kHz is what Opus encodes, so nothing is resampled twice.
    createAudioContext: () => new AudioContext({ sampleRate: 48_000 }),
    // Absent on a page that is not secure, whatever its type says.
    mediaDevices: navigator.mediaDevices,
    isSecureContext: globalThis.isSecureContext,
    now: () => performance.now(),
    random: () => Math.random(),
  };
}

/** Waits; rejects with the signal's reason when aborted. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    }, ms);
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', abort, { once: true });
  });
}
