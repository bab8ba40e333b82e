import { ClientError, listPipelines, type PipelineInfo } from '@remotemedia/client';
import { byId, make } from './dom.ts';

const RETRY_MS = 2_000;

/** What became of asking for the list. */
export interface ListHandlers {
  readonly onList: () => void;
  /** The server does not answer; it is asked again at `retryAt`. */
  readonly onError: (error: ClientError, retryAt: number) => void;
  readonly onChoose: (name: string) => void;
}

/** The pipelines that the server has, and which of them is chosen. The path of the page names it. */
export class PipelineChoice {
  readonly #select = byId('pipeline', HTMLSelectElement);
  readonly #wanted: string;
  #pipelines: PipelineInfo[] = [];

  constructor(wanted: string, { onChoose }: ListHandlers) {
    this.#wanted = wanted;
    this.#select.addEventListener('change', () => {
      onChoose(this.#select.value);
    });
  }

  /** Asks until the server answers. */
  async load(handlers: ListHandlers): Promise<void> {
    for (;;) {
      try {
        this.#pipelines = await listPipelines(location.origin);
        break;
      } catch (error) {
        if (!(error instanceof ClientError)) throw error;
        handlers.onError(error, performance.now() + RETRY_MS);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    this.#select.replaceChildren(
      ...this.names.map((name) => {
        const option = make('option', { text: name });
        option.value = name;
        return option;
      }),
    );
    this.#select.disabled = this.#pipelines.length === 0;
    if (this.isKnown(this.#wanted)) this.#select.value = this.#wanted;
    handlers.onList();
  }

  get names(): string[] {
    return this.#pipelines.map(({ name }) => name);
  }

  /** The name that the page's path asks for, or the chosen one. */
  get wanted(): string {
    return this.#wanted;
  }

  isKnown(name: string): boolean {
    return this.#pipelines.some((pipeline) => pipeline.name === name);
  }

  choose(name: string): void {
    this.#select.value = name;
  }

  get name(): string {
    return this.#select.value;
  }

  get info(): PipelineInfo | undefined {
    return this.#pipelines.find(({ name }) => name === this.#select.value);
  }

  /** Where the probability counts as speech, by the first node that says so. */
  get threshold(): number | undefined {
    for (const { kind, params } of this.info?.nodes ?? []) {
      const threshold = params['threshold'];
      if (/^vad/i.test(kind) && typeof threshold === 'number') return threshold;
    }
    return undefined;
  }

  /** The nodes that the user wrote: those of the package that read and write files run in Python, too. */
  get pythonNodes(): string[] {
    return (this.info?.nodes ?? [])
      .filter(({ kind, params: { entry } }) => /^python/i.test(kind) && !(typeof entry === 'string' && entry.startsWith('remotemedia.')))
      .map(({ id }) => id);
  }
}
