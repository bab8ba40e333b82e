import type { ResultMessage } from './generated/messages.ts';

export type * from './generated/messages.ts';

/** What tells results apart. */
export type ResultType = ResultMessage['type'];
