import { ClientError } from '@remotemedia/client';
import { DataField } from './data.ts';
import type { DetailRow } from './details.ts';
import { byId, setText } from './dom.ts';
import { SessionView } from './page.ts';
import { PipelineChoice, type ListHandlers } from './pipelines.ts';
import { Runner } from './runner.ts';
import { readAddress, Share } from './share.ts';
import { Sound } from './sound.ts';
import { SourceChoice } from './source.ts';
import { Status } from './status.ts';
import type { PageState } from './words.ts';

const STATS_MS = 1_000;

const address = readAddress(location.href);
const startButton = byId('start', HTMLButtonElement);
const instrument = byId('instrument', HTMLElement);
let state: PageState = { name: 'idle' };
/** The session to enter; a new one is made without it. */
let { join } = address;

const view = new SessionView(detailRows);
const share = new Share();
const sound = new Sound();
const status = new Status(choosePipeline);
const source = new SourceChoice(onSource, join !== undefined);
const data = new DataField(send);
const runner = new Runner({
  onState: show,
  onSession: (session) => {
    view.begin(session);
    share.session = { id: session.id, pipeline: pipelines.name };
    void source.refreshDevices();
  },
  onResult: (message) => {
    view.add(message);
  },
  onFault: (error) => {
    view.fault(error);
    // A device that is gone was replaced by the default.
    if (error.code === 'no_device') void source.refreshDevices();
  },
  onRoundTrip: (ms) => {
    view.measures.roundTripMs = ms;
  },
  onMedia: (media) => {
    view.listen(media);
  },
  onAudio: (stream) => {
    sound.stream = stream;
  },
});
const listHandlers: ListHandlers = { onList, onError: onListError, onChoose: choosePipeline };
const pipelines = new PipelineChoice(address.pipeline, listHandlers);

byId('controls', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  if (runner.isActive) runner.stop();
  else start();
});
// A page that leaves says so; one that comes back from the browser's cache begins anew.
addEventListener('pagehide', () => {
  runner.stop();
});
setInterval(() => void readStats(), STATS_MS);
show(state);
void pipelines.load(listHandlers);

function start(): void {
  const input = source.input;
  if (input) runner.start(pipelines.name, join, input);
  else source.askForFile();
}

function show(next: PageState): void {
  if (next.name === 'failed' && next.error.code === 'unknown_session') forgetJoin();
  state = next;
  view.state = next;
  const situation = {
    source: source.kind,
    isJoining: join !== undefined,
    isSecure: isSecureContext,
    description: pipelines.info?.description ?? '',
  };
  status.show(next, situation, view.hasData);
  if (next.name !== 'live') share.session = sound.stream = undefined;
  data.isLive = next.name === 'live';
  const isActive = runner.isActive;
  startButton.classList.toggle('active', isActive);
  setText(startButton, isActive ? 'Stop' : join === undefined ? 'Start' : 'Join');
}

function onList(): void {
  startButton.disabled = pipelines.names.length === 0;
  onPipeline();
  if (pipelines.wanted !== '' && !pipelines.isKnown(pipelines.wanted)) {
    const error = new ClientError(
      'unknown_pipeline',
      `There is no pipeline “${pipelines.wanted}”.`,
      pipelines.names.length > 0 ? 'These are served:' : 'This server serves none: start it with one.',
      { pipelines: pipelines.names },
    );
    show({ name: 'failed', error, retryAt: undefined });
  } else {
    show({ name: 'idle' });
  }
}

function onListError(error: ClientError, retryAt: number): void {
  show({ name: 'failed', error, retryAt });
}

function choosePipeline(name: string): void {
  pipelines.choose(name);
  forgetJoin();
  history.replaceState(null, '', `/${encodeURIComponent(name)}`);
  onPipeline();
  const input = source.input;
  if (runner.isActive && input) runner.start(name, undefined, input);
  else if (!runner.isActive) show({ name: 'idle' });
}

/** The session to join has ended, or another pipeline was chosen: what follows is a session of our own. */
function forgetJoin(): void {
  if (join === undefined) return;
  join = undefined;
  source.needsInput();
  history.replaceState(null, '', location.pathname);
}

function onPipeline(): void {
  document.title = pipelines.name ? `${pipelines.name} · RemoteMedia` : 'RemoteMedia';
  view.threshold = pipelines.threshold;
  view.answers.expect(pipelines.pythonNodes);
  const takes = pipelines.info?.takesAudio ?? 'needed';
  source.takes = takes;
  data.pipeline = pipelines.info;
  // Without audio there is nothing to draw: the place is for words alone.
  instrument.classList.toggle('words', takes === 'none');
  sound.isOffered = source.cancelsEcho = pipelines.info?.sendsAudio ?? false;
}

/** Whoever is told of a result was told first of what it is about. */
async function send(value: unknown, node: string | undefined): Promise<void> {
  const { session } = runner;
  if (!session) return;
  view.sent(value, node);
  try {
    await session.input(value, node);
  } catch (error) {
    if (error instanceof ClientError) view.fault(error);
    throw error;
  }
}

function onSource(): void {
  const input = source.input;
  const isWaiting = state.name === 'failed' && state.retryAt !== undefined;
  if (!runner.isActive && !isWaiting) show({ name: 'idle' });
  if (!runner.isActive || !input) return;
  runner.replace(input).catch((error: unknown) => {
    if (error instanceof ClientError) view.fault(error);
  });
}

async function readStats(): Promise<void> {
  view.measures.stats = await runner.session?.stats();
}

function detailRows(): DetailRow[] {
  const info = runner.session?.info;
  const { stats, metrics } = view.measures;
  const heard = stats?.received;
  const percent = (share: number | undefined): string | undefined => share === undefined ? undefined : `${(100 * share).toFixed(2)} %`;
  return [
    ['State', state.name],
    ['Pipeline', pipelines.name],
    ['Session', info?.id],
    ['Connection', info?.pcId],
    ['Set-up, offer to open channel', ms(info?.setupMs)],
    ['Local candidate', stats?.pair?.local],
    ['Remote candidate', stats?.pair?.remote],
    ['Round trip by STUN', ms(stats?.roundTripMs)],
    ['Round trip on the channel', ms(view.measures.roundTripMs)],
    ['Codec', stats?.codec],
    ['DTLS', stats?.dtls],
    ['SRTP', stats?.srtp],
    ['Packets sent', stats?.packetsSent],
    ['Packets received', metrics?.packets_received],
    ['Packets lost', metrics?.packets_lost ?? stats?.packetsLost],
    ['Loss, as the browser knows it', percent(stats?.lossFraction)],
    ['Concealed frames', metrics?.concealed],
    ['Results left out', metrics?.coalesced],
    ['Dropped', metrics?.dropped],
    ['Sound, packets received', heard?.packets],
    ['Sound, packets lost', heard?.packetsLost],
    ['Sound, jitter', ms(heard?.jitterMs)],
    ['Sound, time in the buffer', ms(heard?.delayMs)],
    ['Sound, made up', percent(heard?.concealedFraction)],
    ['Bytes sent', stats?.bytesSent],
    ['Bytes received', stats?.bytesReceived],
  ];
}

function ms(value: number | undefined): string | undefined {
  return value === undefined ? undefined : `${value.toFixed(1)} ms`;
}
