import type { ConnectionStats, MetricsResult, ResultMessage } from '@remotemedia/client';
import type { FigureValues } from './figures.ts';
import { quantile, RecentValues } from './window-stats.ts';

const LATENCY_SPAN_MS = 10_000;
const RATE_SPAN_MS = 2_000;
/** Loss is that of the last so many metrics messages, one a second. */
const LOSS_SPAN = 10;

/** Turns what comes into the figures of the row. */
export class Measures {
  readonly #latencies = new RecentValues(LATENCY_SPAN_MS, 2_048);
  readonly #arrivals = new RecentValues(RATE_SPAN_MS, 1_024);
  #metrics: MetricsResult['data'][] = [];
  #participant = '';
  roundTripMs: number | undefined;
  stats: ConnectionStats | undefined;

  add(message: ResultMessage, now: number): void {
    if (message.type === 'ready') this.#participant = message.data.participant;
    if (message.type === 'metrics') {
      // Others in the session have figures of their own.
      if (message.participant !== this.#participant && this.#participant !== '' && message.participant !== '') return;
      this.#metrics = [...this.#metrics.slice(1 - LOSS_SPAN), message.data];
      return;
    }
    if (message.stream === '') return;
    this.#latencies.add(now, message.latency_ms);
    this.#arrivals.add(now, 1);
  }

  /** The last figures of the server about our stream. */
  get metrics(): MetricsResult['data'] | undefined {
    return this.#metrics.at(-1);
  }

  reset(): void {
    this.#latencies.clear();
    this.#arrivals.clear();
    this.#metrics = [];
    this.roundTripMs = this.stats = undefined;
  }

  values(isLive: boolean, connection: string, now: number): FigureValues {
    const latencies = this.#latencies.values(now);
    const [p50, p95] = [quantile(latencies, 0.5), quantile(latencies, 0.95)];
    const jitter = this.metrics?.jitter_ms ?? this.stats?.jitterMs;
    const loss = this.#loss() ?? this.stats?.lossFraction;
    return {
      connection,
      roundtrip: this.roundTripMs?.toFixed(1),
      latency: p50 === undefined || p95 === undefined ? undefined : `${digits(p50)} / ${digits(p95)}`,
      jitter: jitter?.toFixed(1),
      loss: loss === undefined ? undefined : (100 * loss).toFixed(1),
      concealed: this.metrics?.concealed.toString(),
      results: isLive ? ((this.#arrivals.values(now).length * 1_000) / RATE_SPAN_MS).toFixed(0) : undefined,
    };
  }

  #loss(): number | undefined {
    const [first, last] = [this.#metrics[0], this.#metrics.at(-1)];
    if (!first || !last) return undefined;
    const since = first === last ? { packets_lost: 0, packets_received: 0 } : first;
    const lost = Math.max(0, last.packets_lost - since.packets_lost);
    const received = last.packets_received - since.packets_received;
    return lost + received > 0 ? lost / (lost + received) : 0;
  }
}

function digits(ms: number): string {
  return ms < 10 ? ms.toFixed(1) : ms.toFixed(0);
}
