// Generated from configs/schema/messages.schema.json by `npm run generate`. Do not edit.

/**
 * Every message on a data channel of RemoteMedia: JSON text in UTF-8, one object a message. Clients ignore fields and types that they do not know, so that a newer server can add some; this version sends exactly what is written here.
 */
export type Message = ServerMessage | ControlMessage;
/**
 * Whatever the server sends on a data channel.
 */
export type ServerMessage = ResultMessage | ReplyMessage;
/**
 * What a session says, on `results`, on `live` and as server-sent events.
 */
export type ResultMessage =
  | VadResult
  | SpeechStartedResult
  | SpeechStoppedResult
  | LevelResult
  | NodeResult
  | TranscriptResult
  | MetricsResult
  | ErrorResult
  | ReadyResult
  | ByeResult
  | CoalescedResult;
/**
 * Version of the protocol.
 */
export type Version = 1;
/**
 * Id of the node that said it; empty when the session itself did.
 */
export type NodeName = string;
/**
 * Id of the session.
 */
export type SessionId = string;
/**
 * Id of the participant whose audio it is about; empty when it is about the session.
 */
export type ParticipantId = string;
/**
 * The participant's track; empty when it is about no track.
 */
export type StreamName = string;
/**
 * One counter a session. A message sent on two channels has the same: drop the second.
 */
export type SequenceNumber = number;
/**
 * Media time in milliseconds where the analysed window starts; zero is the first RTP timestamp received.
 */
export type MediaTimeMs = number;
/**
 * RTP timestamp of the packet that completed the window, in units of the stream's RTP clock (48 kHz for Opus).
 */
export type RtpTimestamp = number;
/**
 * Milliseconds from that packet's arrival to the hand-over of the message to the channel.
 */
export type LatencyMs = number;
/**
 * Stable code of an error, to look it up.
 */
export type ErrorCode = string;
/**
 * The answer to one control message. It has neither `seq` nor `session`, which tells its errors from those among the results.
 */
export type ReplyMessage =
  PongReply | ConfiguredReply | AcceptedReply | InterruptedReply | FlushedReply | ErrorReply;
/**
 * What a client chose to recognise the answer by.
 */
export type MessageId = number | string;
/**
 * Id of a node of the pipeline.
 */
export type NodeId = string;
/**
 * What a client may send on the `results` channel: at most 64 KiB, nested at most 32 deep.
 */
export type ControlMessage = ConfigureControl | InterruptControl | FlushControl | PingControl | InputControl;

/**
 * One window of voice activity detection: 32 ms for Silero, a packet for the energy engine. May be replaced by a newer one when the reader is slow.
 */
export interface VadResult {
  v: Version;
  type: 'vad';
  node: NodeName;
  session: SessionId;
  participant: ParticipantId;
  stream: StreamName;
  seq: SequenceNumber;
  pts_ms: MediaTimeMs;
  rtp_ts: RtpTimestamp;
  latency_ms: LatencyMs;
  data: VadData;
}
/**
 * One analysed window.
 */
export interface VadData {
  /**
   * Whether speech is going on, after the node's thresholds and durations.
   */
  speech: boolean;
  /**
   * Probability of speech.
   */
  probability: number;
}
/**
 * Speech began: `pts_ms` is the onset less the padding. Never dropped.
 */
export interface SpeechStartedResult {
  v: Version;
  type: 'speech_started';
  node: NodeName;
  session: SessionId;
  participant: ParticipantId;
  stream: StreamName;
  seq: SequenceNumber;
  pts_ms: MediaTimeMs;
  rtp_ts: RtpTimestamp;
  latency_ms: LatencyMs;
  data: SpeechStartedData;
}
/**
 * The beginning of speech.
 */
export interface SpeechStartedData {
  /**
   * Probability of speech in the window that decided it.
   */
  probability: number;
}
/**
 * Speech ended: `pts_ms` is the end plus the padding. Never dropped.
 */
export interface SpeechStoppedResult {
  v: Version;
  type: 'speech_stopped';
  node: NodeName;
  session: SessionId;
  participant: ParticipantId;
  stream: StreamName;
  seq: SequenceNumber;
  pts_ms: MediaTimeMs;
  rtp_ts: RtpTimestamp;
  latency_ms: LatencyMs;
  data: SpeechStoppedData;
}
/**
 * The end of speech.
 */
export interface SpeechStoppedData {
  /**
   * `pts_ms` of the `speech_started` that this closes, milliseconds.
   */
  start_ms: number;
  /**
   * Milliseconds from there to this message's `pts_ms`.
   */
  duration_ms: number;
}
/**
 * Loudness at regular intervals. May be replaced by a newer one when the reader is slow.
 */
export interface LevelResult {
  v: Version;
  type: 'level';
  node: NodeName;
  session: SessionId;
  participant: ParticipantId;
  stream: StreamName;
  seq: SequenceNumber;
  pts_ms: MediaTimeMs;
  rtp_ts: RtpTimestamp;
  latency_ms: LatencyMs;
  data: LevelData;
}
/**
 * Loudness since the last such message.
 */
export interface LevelData {
  /**
   * Root mean square in dB relative to full scale; -120 stands for silence.
   */
  rms_dbfs: number;
  /**
   * Highest sample in dB relative to full scale; -120 stands for silence.
   */
  peak_dbfs: number;
}
/**
 * What a user's node returned. Never dropped.
 */
export interface NodeResult {
  v: Version;
  type: 'node';
  node: NodeName;
  session: SessionId;
  participant: ParticipantId;
  stream: StreamName;
  seq: SequenceNumber;
  pts_ms: MediaTimeMs;
  rtp_ts: RtpTimestamp;
  latency_ms: LatencyMs;
  /**
   * The returned value, any JSON.
   */
  data: unknown;
}
/**
 * Recognised text. Never dropped.
 */
export interface TranscriptResult {
  v: Version;
  type: 'transcript';
  node: NodeName;
  session: SessionId;
  participant: ParticipantId;
  stream: StreamName;
  seq: SequenceNumber;
  pts_ms: MediaTimeMs;
  rtp_ts: RtpTimestamp;
  latency_ms: LatencyMs;
  data: TranscriptData;
}
/**
 * Recognised text.
 */
export interface TranscriptData {
  /**
   * The text.
   */
  text: string;
  /**
   * False while the text may still change.
   */
  final: boolean;
}
/**
 * Figures of the receiving peer, once a second.
 */
export interface MetricsResult {
  v: Version;
  type: 'metrics';
  node: NodeName;
  session: SessionId;
  participant: ParticipantId;
  stream: StreamName;
  seq: SequenceNumber;
  pts_ms: MediaTimeMs;
  rtp_ts: RtpTimestamp;
  latency_ms: LatencyMs;
  data: MetricsData;
}
/**
 * Figures of the receiving peer since it connected.
 */
export interface MetricsData {
  /**
   * Interarrival jitter of its audio in milliseconds (RFC 3550, section 6.4.1).
   */
  jitter_ms: number;
  /**
   * RTP packets received.
   */
  packets_received: number;
  /**
   * RTP packets expected less received (RFC 3550, section 6.4.1): duplicates can make it negative.
   */
  packets_lost: number;
  /**
   * Frames made up in place of lost packets.
   */
  concealed: number;
  /**
   * Round trip in milliseconds, where it was measured.
   */
  round_trip_ms?: number;
  /**
   * Results replaced by newer ones because the reader was slow.
   */
  coalesced: number;
  /**
   * Messages and frames dropped, whatever the cause.
   */
  dropped: number;
}
/**
 * Something failed and the session goes on. Never dropped.
 */
export interface ErrorResult {
  v: Version;
  type: 'error';
  node: NodeName;
  session: SessionId;
  participant: ParticipantId;
  stream: StreamName;
  seq: SequenceNumber;
  pts_ms: MediaTimeMs;
  rtp_ts: RtpTimestamp;
  latency_ms: LatencyMs;
  data: ErrorData;
}
/**
 * What went wrong.
 */
export interface ErrorData {
  code: ErrorCode;
  /**
   * What happened and what to do.
   */
  message: string;
  /**
   * The field or parameter at fault.
   */
  field?: string;
  /**
   * What would be right.
   */
  hint?: string;
  /**
   * Traceback of a Python exception.
   */
  traceback?: string;
}
/**
 * The first message on a channel.
 */
export interface ReadyResult {
  v: Version;
  type: 'ready';
  node: NodeName;
  session: SessionId;
  participant: ParticipantId;
  stream: StreamName;
  seq: SequenceNumber;
  pts_ms: MediaTimeMs;
  rtp_ts: RtpTimestamp;
  latency_ms: LatencyMs;
  data: ReadyData;
}
/**
 * What a client learns when its channel opens.
 */
export interface ReadyData {
  /**
   * Name of the pipeline.
   */
  pipeline: string;
  /**
   * The client's own participant id.
   */
  participant: string;
  /**
   * False for the participant who created the session.
   */
  joined: boolean;
  /**
   * How many participants there are, this one included.
   */
  participants: number;
  /**
   * The pipeline's nodes in its order.
   */
  nodes: NodeInfo[];
}
/**
 * A node of the pipeline.
 */
export interface NodeInfo {
  /**
   * The `node` of its results.
   */
  id: string;
  /**
   * Its type: `vad`, `level`, `python`.
   */
  kind: string;
}
/**
 * The last message of a session.
 */
export interface ByeResult {
  v: Version;
  type: 'bye';
  node: NodeName;
  session: SessionId;
  participant: ParticipantId;
  stream: StreamName;
  seq: SequenceNumber;
  pts_ms: MediaTimeMs;
  rtp_ts: RtpTimestamp;
  latency_ms: LatencyMs;
  data: ByeData;
}
/**
 * Why the session ended.
 */
export interface ByeData {
  /**
   * Why, in words.
   */
  reason: string;
  code?: ErrorCode;
}
/**
 * Results were replaced by newer ones because the reader is slow.
 */
export interface CoalescedResult {
  v: Version;
  type: 'coalesced';
  node: NodeName;
  session: SessionId;
  participant: ParticipantId;
  stream: StreamName;
  seq: SequenceNumber;
  pts_ms: MediaTimeMs;
  rtp_ts: RtpTimestamp;
  latency_ms: LatencyMs;
  data: CoalescedData;
}
/**
 * How many results were replaced by newer ones.
 */
export interface CoalescedData {
  /**
   * Since the last such message.
   */
  count: number;
  /**
   * Since the session began.
   */
  total: number;
}
/**
 * To `ping`.
 */
export interface PongReply {
  v: Version;
  type: 'pong';
  id?: MessageId;
  /**
   * The ping's `t`.
   */
  t?: number;
}
/**
 * To `configure`.
 */
export interface ConfiguredReply {
  v: Version;
  type: 'configured';
  id?: MessageId;
  node: NodeId;
}
/**
 * To `input`: the nodes have it. What those that run natively made of it has been sent.
 */
export interface AcceptedReply {
  v: Version;
  type: 'accepted';
  id?: MessageId;
  node: NodeId;
}
/**
 * To `interrupt`.
 */
export interface InterruptedReply {
  v: Version;
  type: 'interrupted';
  id?: MessageId;
}
/**
 * To `flush`: what was pending has been sent.
 */
export interface FlushedReply {
  v: Version;
  type: 'flushed';
  id?: MessageId;
}
/**
 * The control message was refused.
 */
export interface ErrorReply {
  v: Version;
  type: 'error';
  id?: MessageId;
  data: ErrorData;
}
/**
 * Changes parameters that a node marks as live; they apply from the next window on.
 */
export interface ConfigureControl {
  v?: Version;
  type: 'configure';
  id?: MessageId;
  node: NodeId;
  /**
   * Parameter by name.
   */
  params: {
    [k: string]: unknown;
  };
}
/**
 * Drops what is under way.
 */
export interface InterruptControl {
  v?: Version;
  type: 'interrupt';
  id?: MessageId;
}
/**
 * Emits what is pending, as if the input had ended.
 */
export interface FlushControl {
  v?: Version;
  type: 'flush';
  id?: MessageId;
}
/**
 * Measures the round trip.
 */
export interface PingControl {
  v?: Version;
  type: 'ping';
  id?: MessageId;
  /**
   * The client's clock, any unit: echoed.
   */
  t?: number;
}
/**
 * Data for a pipeline that takes more than audio.
 */
export interface InputControl {
  v?: Version;
  type: 'input';
  id?: MessageId;
  /**
   * The node or source that takes it; it may be left out where there is one alone.
   */
  node?: NodeId;
  /**
   * The data, any JSON: at most 60 KiB, nested at most 31 deep.
   */
  data: unknown;
}
