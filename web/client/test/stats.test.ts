import { expect, it } from 'vitest';
import { readStats } from '../src/stats.ts';

const report = (...entries: { id: string; [key: string]: unknown }[]) => new Map(entries.map((entry) => [entry.id, entry])) as unknown as RTCStatsReport;

// Shortened from what Chromium 156 gave on loopback.
const chromium = report(
  { id: 'T', type: 'transport', selectedCandidatePairId: 'P', tlsVersion: 'FEFD', srtpCipher: 'AEAD_AES_128_GCM', bytesSent: 9 },
  { id: 'P', type: 'candidate-pair', localCandidateId: 'L', remoteCandidateId: 'R', state: 'succeeded', currentRoundTripTime: 0.002, bytesSent: 5_000, bytesReceived: 700 },
  { id: 'L', type: 'local-candidate', candidateType: 'host', protocol: 'udp', address: '', port: 40_000 },
  { id: 'R', type: 'remote-candidate', candidateType: 'host', protocol: 'udp', address: '::1', port: 50_000 },
  { id: 'O', type: 'outbound-rtp', kind: 'audio', packetsSent: 50, codecId: 'C' },
  { id: 'C', type: 'codec', mimeType: 'audio/opus', clockRate: 48_000, channels: 2, sdpFmtpLine: 'useinbandfec=1' },
  { id: 'I', type: 'remote-inbound-rtp', kind: 'audio', jitter: 0.0015, fractionLost: 0.25, packetsLost: 4 },
);

it('reads what Chromium gives', () => {
  expect(readStats(chromium)).toEqual({
    roundTripMs: 2,
    jitterMs: 1.5,
    lossFraction: 0.25,
    packetsLost: 4,
    packetsSent: 50,
    bytesSent: 5_000,
    bytesReceived: 700,
    codec: 'audio/opus 48000/2 useinbandfec=1',
    pair: { local: 'host udp hidden:40000', remote: 'host udp [::1]:50000', state: 'succeeded' },
    dtls: '1.2',
    srtp: 'AEAD_AES_128_GCM',
  });
});

it('reads what comes back', () => {
  const inbound = { id: 'A', type: 'inbound-rtp', kind: 'audio', packetsReceived: 100, packetsLost: 2, jitter: 0.003 };
  const buffer = { jitterBufferDelay: 4_800, jitterBufferEmittedCount: 96_000, concealedSamples: 1_920, totalSamplesReceived: 96_000 };
  expect(readStats(report({ ...inbound, ...buffer })).received).toEqual({
    packets: 100,
    packetsLost: 2,
    jitterMs: 3,
    delayMs: 50,
    concealedFraction: 0.02,
  });
  expect(readStats(report(inbound)).received).toEqual({ packets: 100, packetsLost: 2, jitterMs: 3 });
  expect(readStats(report({ ...inbound, packetsReceived: 0 }))).toEqual({});
});

it('finds the pair that Firefox marks itself', () => {
  const stats = readStats(report({ id: 'P', type: 'candidate-pair', selected: true, state: 'succeeded', currentRoundTripTime: 0.004 }));
  expect(stats.roundTripMs).toBe(4);
});

it('leaves out what is not known', () => {
  expect(readStats(report())).toEqual({});
});
