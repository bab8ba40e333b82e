import { insecurePage, type ClientError, type SessionState } from '@remotemedia/client';

/** Before the first session there is none. */
export type PageState = { readonly name: 'idle' } | SessionState;

/** How a state reads. */
export interface Words {
  /** One or two words for the header. */
  readonly label: string;
  readonly title: string;
  readonly text: string;
}

/** What the words depend on beside the state. */
export interface Situation {
  readonly source: 'microphone' | 'file' | 'none';
  readonly isJoining: boolean;
  /** Whether the browser gives this page a microphone at all. */
  readonly isSecure: boolean;
  /** What the chosen pipeline says about itself. */
  readonly description: string;
}

/** The names of the states. */
export const LABELS: Readonly<Record<PageState['name'], string>> = {
  idle: 'Idle',
  asking: 'Asking for the microphone',
  connecting: 'Connecting',
  live: 'Live',
  ended: 'Ended',
  failed: 'Failed',
};

/** A state in words that say what to do. A live session needs none: its data is there. */
export function describe(state: PageState, situation: Situation): Words {
  const label = LABELS[state.name];
  switch (state.name) {
    case 'idle':
      return { label, ...idle(situation) };
    case 'asking':
      return asking(situation.source);
    case 'connecting':
      return { label, title: state.attempt > 1 ? `Connecting, attempt ${state.attempt}` : 'Connecting', text: '' };
    case 'live':
      return { label, title: '', text: '' };
    case 'ended':
      return { label, ...ended(state.reason, state.detail) };
    case 'failed':
      return { label, ...failed(state.error) };
  }
}

function asking(source: Situation['source']): Words {
  switch (source) {
    case 'microphone':
      return { label: LABELS.asking, title: 'Allow the microphone', text: 'The browser asks for it, usually at the top of the window.' };
    case 'file':
      return { label: 'Opening the file', title: 'Opening the file', text: '' };
    case 'none':
      return { label: LABELS.connecting, title: LABELS.connecting, text: '' };
  }
}

function idle({ source, isJoining, isSecure, description }: Situation): { title: string; text: string } {
  if (source === 'microphone' && !isSecure) {
    const { message, advice } = insecurePage();
    return { title: message, text: advice };
  }
  if (isJoining) {
    return { title: 'You are invited to a running session', text: 'Join to listen in, or choose a source to be heard too.' };
  }
  const about = description && `${description.replace(/[.\s]+$/, '')}.`;
  switch (source) {
    case 'file':
      return { title: 'Choose a file and press Start', text: about || 'It is streamed in real time, as if you spoke it.' };
    case 'microphone':
      return { title: 'Press Start and speak', text: about || 'The last 20 seconds appear here.' };
    case 'none':
      return { title: 'Press Start and send something', text: about || 'Results appear below.' };
  }
}

function ended(reason: string, detail: string): { title: string; text: string } {
  switch (reason) {
    case 'media_ended':
      return { title: 'The file is over', text: 'Start plays it again.' };
    case 'server':
      return { title: 'The session was ended', text: detail ? `By the server: ${detail}.` : 'By the server.' };
    default:
      return { title: 'Ended', text: 'Start begins a new session.' };
  }
}

function failed({ message, advice, details }: ClientError): { title: string; text: string } {
  const code = details.serverCode ? ` (${details.serverCode})` : '';
  return { title: message, text: `${advice}${code}` };
}
