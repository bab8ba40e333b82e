/** What every result says about itself. */
interface Result<Type extends string, Data> {
  readonly v: 1;
  readonly type: Type;
  /** The node that said it; empty when the session itself did. */
  readonly node: string;
  readonly session: string;
  /** Whose audio it is about; empty when it is about the session. */
  readonly participant: string;
  readonly stream: string;
  /** One counter a session: the second copy of an event has the same. */
  readonly seq: number;
  /** Media time: where the analysed window starts. */
  readonly pts_ms: number;
  readonly rtp_ts: number;
  /** From the arrival of the packet that completed the window to the hand-over to the channel. */
  readonly latency_ms: number;
  readonly data: Data;
}

export interface ErrorData {
  readonly code: string;
  readonly message: string;
  readonly field?: string;
  readonly hint?: string;
  readonly traceback?: string;
}

export type VadMessage = Result<'vad', { readonly speech: boolean; readonly probability: number }>;
export type SpeechStartedMessage = Result<'speech_started', { readonly probability: number }>;
export type SpeechStoppedMessage = Result<
  'speech_stopped',
  { readonly start_ms: number; readonly duration_ms: number }
>;
export type LevelMessage = Result<'level', { readonly rms_dbfs: number; readonly peak_dbfs: number }>;
export type NodeMessage = Result<'node', unknown>;
export type TranscriptMessage = Result<'transcript', { readonly text: string; readonly final: boolean }>;
export type MetricsMessage = Result<
  'metrics',
  {
    readonly jitter_ms: number;
    readonly packets_received: number;
    readonly packets_lost: number;
    readonly concealed: number;
    readonly round_trip_ms?: number;
    readonly coalesced: number;
    readonly dropped: number;
  }
>;
export type ErrorMessage = Result<'error', ErrorData>;
export type ReadyMessage = Result<
  'ready',
  {
    readonly pipeline: string;
    readonly participant: string;
    readonly joined: boolean;
    readonly participants: number;
    readonly nodes: readonly { readonly id: string; readonly kind: string }[];
  }
>;
export type ByeMessage = Result<'bye', { readonly reason: string; readonly code?: string }>;
export type CoalescedMessage = Result<'coalesced', { readonly count: number; readonly total: number }>;

/** Everything that a session says, told apart by `type`. */
export type ResultMessage =
  | VadMessage
  | SpeechStartedMessage
  | SpeechStoppedMessage
  | LevelMessage
  | NodeMessage
  | TranscriptMessage
  | MetricsMessage
  | ErrorMessage
  | ReadyMessage
  | ByeMessage
  | CoalescedMessage;

export type ResultType = ResultMessage['type'];

/** The answer to one control message. */
export type ControlReply =
  | { readonly v: 1; readonly type: 'pong'; readonly id?: number | string; readonly t?: number }
  | { readonly v: 1; readonly type: 'configured'; readonly id?: number | string; readonly node: string }
  | { readonly v: 1; readonly type: 'interrupted' | 'flushed'; readonly id?: number | string }
  | { readonly v: 1; readonly type: 'error'; readonly id?: number | string; readonly data: ErrorData };

/** What a client may say. */
export type ControlMessage =
  | { readonly type: 'configure'; readonly id?: number | string; readonly node: string; readonly params: Readonly<Record<string, unknown>> }
  | { readonly type: 'interrupt' | 'flush'; readonly id?: number | string }
  | { readonly type: 'ping'; readonly id?: number | string; readonly t?: number }
  | { readonly type: 'input'; readonly id?: number | string; readonly node: string; readonly data: unknown };
