import { byId, make, setText } from './dom.ts';
import { describe, type PageState, type Situation } from './words.ts';

/** How often the countdown is set. */
const TICK_MS = 200;

/** Says where the session stands: a word in the header, and over the picture what to do. */
export class Status {
  readonly #state = byId('state', HTMLParagraphElement);
  readonly #notice = byId('notice', HTMLDivElement);
  readonly #title = byId('notice-title', HTMLParagraphElement);
  readonly #text = byId('notice-text', HTMLParagraphElement);
  readonly #retry = byId('notice-retry', HTMLParagraphElement);
  readonly #choices = byId('notice-choices', HTMLParagraphElement);
  readonly #onPipeline: (name: string) => void;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(onPipeline: (name: string) => void) {
    this.#onPipeline = onPipeline;
  }

  /** `hasData`: the picture behind stays visible. */
  show(state: PageState, situation: Situation, hasData: boolean): void {
    const words = describe(state, situation);
    setText(this.#state, words.label);
    this.#state.dataset['state'] = this.#notice.dataset['state'] = state.name;
    this.#notice.dataset['over'] = hasData ? 'data' : 'nothing';
    this.#notice.hidden = words.title === '';
    setText(this.#title, words.title);
    setText(this.#text, words.text);
    this.#showChoices(state);
    this.#showRetry(state);
  }

  #showChoices(state: PageState): void {
    const names = state.name === 'failed' ? (state.error.details.pipelines ?? []) : [];
    this.#choices.hidden = names.length === 0;
    this.#choices.replaceChildren(
      ...names.map((name) => {
        const button = make('button', { className: 'quiet', text: name });
        button.type = 'button';
        button.addEventListener('click', () => {
          this.#onPipeline(name);
        });
        return button;
      }),
    );
  }

  #showRetry(state: PageState): void {
    clearInterval(this.#timer);
    const retryAt = state.name === 'failed' ? state.retryAt : undefined;
    this.#retry.hidden = retryAt === undefined;
    if (retryAt === undefined) return;
    const tick = (): void => {
      const seconds = Math.max(0, retryAt - performance.now()) / 1_000;
      setText(this.#retry, `Trying again in ${seconds < 10 ? seconds.toFixed(1) : Math.ceil(seconds)} s`);
    };
    tick();
    this.#timer = setInterval(tick, TICK_MS);
  }
}
