import { byId, copyText } from './dom.ts';

/** The link by which somebody else enters the running session. */
export class Share {
  readonly #button = byId('copy-link', HTMLButtonElement);
  readonly #link = byId('join-link', HTMLAnchorElement);

  constructor() {
    this.#button.addEventListener('click', () => void this.#copy());
  }

  /** A session of others can be entered while it is live. */
  set session(session: { readonly id: string; readonly pipeline: string } | undefined) {
    this.#button.disabled = !session;
    if (!session) this.#link.hidden = true;
    else this.#link.href = joinLink(location.origin, session.pipeline, session.id);
  }

  async #copy(): Promise<void> {
    if (await copyText(this.#link.href)) {
      this.#button.textContent = 'Link copied';
      setTimeout(() => (this.#button.textContent = 'Copy join link'), 1_500);
    } else {
      // Not every page may write to the clipboard: then the link itself is there to take.
      this.#link.hidden = false;
    }
  }
}

/** `https://host/pipeline?join=session`. */
export function joinLink(origin: string, pipeline: string, session: string): string {
  const url = new URL(`/${encodeURIComponent(pipeline)}`, origin);
  url.searchParams.set('join', session);
  return url.href;
}

/** What a page's address asks for. */
export function readAddress(href: string): { readonly pipeline: string; readonly join: string | undefined } {
  const url = new URL(href);
  const pipeline = decodeURIComponent(url.pathname.split('/').filter(Boolean).at(-1) ?? '');
  return { pipeline, join: url.searchParams.get('join') ?? undefined };
}
