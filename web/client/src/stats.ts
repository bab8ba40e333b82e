/** What the browser measures about the connection; a field is absent until it is known. */
export interface ConnectionStats {
  /** Of the selected pair, by STUN. */
  readonly roundTripMs?: number;
  /** Of what we send, as the server reports it (RFC 3550, section 6.4.1). */
  readonly jitterMs?: number;
  /** Share of packets that the server missed since its report before, 0 to 1. */
  readonly lossFraction?: number;
  readonly packetsLost?: number;
  readonly packetsSent?: number;
  readonly bytesSent?: number;
  readonly bytesReceived?: number;
  /** `audio/opus 48000/2 minptime=10;useinbandfec=1`. */
  readonly codec?: string;
  readonly pair?: CandidatePair;
  /** Of the audio that comes back. */
  readonly received?: ReceivedAudio;
  readonly dtls?: string;
  readonly srtp?: string;
}

/** What the browser measures about audio that comes back. */
export interface ReceivedAudio {
  readonly packets?: number;
  readonly packetsLost?: number;
  readonly jitterMs?: number;
  /** How long audio waited in the jitter buffer, on average since it began. */
  readonly delayMs?: number;
  /** Share of what was played that was made up because nothing had come, 0 to 1. */
  readonly concealedFraction?: number;
}

/** The path in use. */
export interface CandidatePair {
  readonly local: string;
  readonly remote: string;
  readonly state: string;
}

type Entry = Readonly<Record<string, unknown>> & { readonly id: string; readonly type: string };

/** Reads the figures out of a report; entries that a browser leaves out are left out here. */
export function readStats(report: Pick<RTCStatsReport, 'forEach'>): ConnectionStats {
  const entries = new Map<string, Entry>();
  report.forEach((entry: Entry) => entries.set(entry.id, entry));
  const all = [...entries.values()];
  const transport = all.find(({ type }) => type === 'transport');
  const pair =
    lookUp(entries, transport?.['selectedCandidatePairId']) ??
    // Firefox marks the pair itself.
    all.find((entry) => entry.type === 'candidate-pair' && entry['selected'] === true) ??
    all.find((entry) => entry.type === 'candidate-pair' && entry['nominated'] === true && entry['state'] === 'succeeded');
  const outbound = all.find((entry) => entry.type === 'outbound-rtp' && entry['kind'] === 'audio');
  const inbound = all.find((entry) => entry.type === 'inbound-rtp' && entry['kind'] === 'audio');
  const remote = all.find((entry) => entry.type === 'remote-inbound-rtp' && entry['kind'] === 'audio');
  return compact({
    roundTripMs: seconds(pair?.['currentRoundTripTime']) ?? seconds(remote?.['roundTripTime']),
    jitterMs: seconds(remote?.['jitter']),
    lossFraction: number(remote?.['fractionLost']),
    packetsLost: number(remote?.['packetsLost']),
    packetsSent: number(outbound?.['packetsSent']),
    bytesSent: number(pair?.['bytesSent']) ?? number(transport?.['bytesSent']),
    bytesReceived: number(pair?.['bytesReceived']) ?? number(transport?.['bytesReceived']),
    codec: codecText(lookUp(entries, (outbound ?? inbound)?.['codecId'])),
    pair: pair && {
      local: candidateText(lookUp(entries, pair['localCandidateId'])),
      remote: candidateText(lookUp(entries, pair['remoteCandidateId'])),
      state: text(pair['state']) ?? '',
    },
    received: receivedAudio(inbound),
    dtls: text(transport?.['tlsVersion'])?.replace(/^FEFD$/i, '1.2').replace(/^FEFC$/i, '1.3'),
    srtp: text(transport?.['srtpCipher']),
  });
}

/** Nothing before the first packet: Chromium lists what it only expects, too. */
function receivedAudio(inbound: Entry | undefined): ReceivedAudio | undefined {
  const packets = number(inbound?.['packetsReceived']);
  if (!inbound || packets === undefined || packets === 0) return undefined;
  const share = (part: string, whole: string): number | undefined => {
    const [a, b] = [number(inbound[part]), number(inbound[whole])];
    return a === undefined || b === undefined || b === 0 ? undefined : a / b;
  };
  return compact({
    packets,
    packetsLost: number(inbound['packetsLost']),
    jitterMs: seconds(inbound['jitter']),
    delayMs: seconds(share('jitterBufferDelay', 'jitterBufferEmittedCount')),
    concealedFraction: share('concealedSamples', 'totalSamplesReceived'),
  });
}

function lookUp(entries: ReadonlyMap<string, Entry>, id: unknown): Entry | undefined {
  return typeof id === 'string' ? entries.get(id) : undefined;
}

function codecText(codec: Entry | undefined): string | undefined {
  const type = text(codec?.['mimeType']);
  if (type === undefined) return undefined;
  const rate = [number(codec?.['clockRate']), number(codec?.['channels'])].filter((part) => part !== undefined);
  return [type, rate.join('/'), text(codec?.['sdpFmtpLine'])].filter(Boolean).join(' ');
}

function candidateText(candidate: Entry | undefined): string {
  if (!candidate) return '';
  // An address that the browser hides is an empty text or absent.
  const address = text(candidate['address']) ?? text(candidate['ip']);
  const place = `${address?.includes(':') ? `[${address}]` : (address ?? 'hidden')}:${number(candidate['port']) ?? '?'}`;
  return [text(candidate['candidateType']), text(candidate['protocol']), place].filter(Boolean).join(' ');
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

function seconds(value: unknown): number | undefined {
  const s = number(value);
  return s === undefined ? undefined : s * 1_000;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

type Compact<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function compact<T extends object>(value: T): Compact<T> {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as Compact<T>;
}
