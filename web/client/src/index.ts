/**
 * Connects a page to a RemoteMedia pipeline over WebRTC: audio goes there, results come back as
 * typed events. Begin with {@link connect}.
 */
export { DEFAULT_BACKOFF, type BackoffOptions } from './backoff.ts';
export { connect, listPipelines } from './connect.ts';
export type { Listener } from './emitter.ts';
export { browserEnvironment, type Environment } from './environment.ts';
export { ClientError, insecurePage, type ClientErrorCode, type ErrorDetails } from './errors.ts';
export type { PipelineInfo, PipelineNode } from './http.ts';
export { listMicrophones, RAW_AUDIO, type MediaInput, type MediaSource } from './media.ts';
export type * from './messages.ts';
export type { ConnectOptions } from './options.ts';
export { Session, type SessionEvents, type SessionInfo } from './session.ts';
export type { EndReason, SessionState } from './state.ts';
export type { CandidatePair, ConnectionStats, ReceivedAudio } from './stats.ts';
