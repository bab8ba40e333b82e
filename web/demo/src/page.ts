import { ClientError, type MediaSource, type ResultMessage, type SessionInfo } from '@remotemedia/client';
import { Answers } from './answers.ts';
import { Details } from './details.ts';
import { byId, make, setText } from './dom.ts';
import { faultRow, rowOf, sentRow, sessionRow } from './event-rows.ts';
import { EventList } from './events.ts';
import { Figures } from './figures.ts';
import { Hook } from './hook.ts';
import { LevelMeter } from './level.ts';
import { Measures } from './measures.ts';
import { Readout } from './readout.ts';
import { Timeline } from './timeline.ts';
import { Tracks } from './tracks.ts';
import { viewOf } from './view.ts';
import { LABELS, type PageState } from './words.ts';

/** How often figures and answers are put into the page. */
export const REFRESH_MS = 250;

/** Everything that shows a session; it starts none. */
export class SessionView {
  readonly tracks = new Tracks();
  readonly measures = new Measures();
  readonly answers = new Answers();
  readonly events = new EventList();
  readonly details: Details;
  readonly #meter = new LevelMeter();
  readonly #figures: Figures;
  readonly #hook = new Hook(this.tracks);
  readonly #readout = new Readout();
  readonly #timeline: Timeline;
  readonly #pause = byId('pause', HTMLButtonElement);
  readonly #trackField = byId('track-field', HTMLLabelElement);
  readonly #trackSelect = byId('track', HTMLSelectElement);
  /** The stream that the user chose to see. */
  #chosenTrack = '';
  #threshold: number | undefined;
  #participant = '';
  #hasInput = false;
  #state: PageState = { name: 'idle' };

  constructor(detailRows: ConstructorParameters<typeof Details>[0]) {
    this.details = new Details(detailRows);
    this.#figures = new Figures(() => {
      this.details.open();
    });
    this.#timeline = new Timeline(byId('timeline', HTMLCanvasElement), {
      view: (now) => this.#view(now),
      onRead: (reading, isCursor) => {
        this.#readout.show(reading, isCursor, performance.now());
      },
      onPause: (isPaused) => {
        this.#pause.setAttribute('aria-pressed', String(isPaused));
        setText(this.#pause, isPaused ? 'Go on' : 'Pause');
      },
    });
    this.#pause.addEventListener('click', () => {
      this.#timeline.pause(!this.#timeline.isPaused);
    });
    this.#trackSelect.addEventListener('change', () => {
      this.#chosenTrack = this.#trackSelect.value;
    });
    setInterval(() => {
      this.refresh();
    }, REFRESH_MS);
    this.refresh();
  }

  /** Whether there is a picture behind the words. */
  get hasData(): boolean {
    return this.tracks.all.length > 0;
  }

  set threshold(value: number | undefined) {
    this.#threshold = value;
    this.#readout.threshold = value;
  }

  set state(state: PageState) {
    this.#state = state;
    this.#timeline.running = state.name === 'live';
    if (state.name !== 'live') this.measures.roundTripMs = undefined;
    if (state.name === 'ended' || state.name === 'failed') this.#meter.stop();
    this.refresh();
  }

  listen(media: MediaSource): void {
    this.#hasInput = media.stream !== undefined;
    this.#meter.listen(media.stream);
  }

  /** A new session has a media time of its own: what was belongs to another. */
  begin(session: SessionInfo): void {
    this.#hook.begin(session);
    if (!session.isNew) return;
    this.tracks.clear();
    this.#chosenTrack = '';
    this.measures.reset();
    this.#timeline.reset();
    this.#showTracks();
    const row = sessionRow(session);
    if (row) this.events.add(row, performance.now());
  }

  add(message: ResultMessage): void {
    const now = performance.now();
    if (message.type === 'ready') this.#participant = message.data.participant;
    const count = this.tracks.all.length;
    this.tracks.add(message, now);
    if (this.tracks.all.length !== count) this.#showTracks();
    this.measures.add(message, now);
    this.#hook.add(message);
    const speaker = this.#speaker(message);
    if (message.type === 'node') this.answers.add(message, speaker, now);
    const row = rowOf(message, speaker);
    if (row) this.events.add(row, now);
  }

  sent(data: unknown, node: string | undefined): void {
    this.events.add(sentRow(data, node), performance.now());
  }

  fault(error: ClientError): void {
    this.events.add(faultRow(error), performance.now());
  }

  refresh(): void {
    const now = performance.now();
    this.#figures.show(this.measures.values(this.#state.name === 'live', LABELS[this.#state.name], now));
    this.answers.render(now);
    this.details.refresh();
  }

  /** Who a result is about, when there is more than one. */
  #speaker({ participant, stream }: ResultMessage): string {
    if (this.tracks.all.length < 2 || stream === '') return '';
    return this.#name(participant, stream);
  }

  #name(participant: string, stream: string): string {
    return participant === this.#participant ? `you, ${stream}` : `${participant.slice(0, 8)}, ${stream}`;
  }

  #showTracks(): void {
    const tracks = this.tracks.all;
    this.#trackField.hidden = tracks.length < 2;
    this.#trackSelect.replaceChildren(
      ...tracks.map(({ key, participant, stream }) => {
        const option = make('option', { text: this.#name(participant, stream) });
        option.value = key;
        return option;
      }),
    );
    const own = tracks.find(({ participant }) => participant === this.#participant);
    const shown = this.tracks.get(this.#chosenTrack) ?? own ?? tracks[0];
    this.#trackSelect.value = shown?.key ?? '';
  }

  #view(now: number): ReturnType<typeof viewOf> {
    const track = this.tracks.get(this.#trackSelect.value);
    if (!track) return undefined;
    const isOwn = this.#hasInput && (track.participant === this.#participant || this.#participant === '');
    return viewOf(track, isOwn ? this.#meter : undefined, {
      now,
      roundTripMs: this.measures.roundTripMs ?? 0,
      threshold: this.#threshold,
    });
  }
}
