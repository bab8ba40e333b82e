import { byId, setText } from './dom.ts';

/** What the pipeline says: played as it comes, as loud as the user likes. */
export class Sound {
  readonly #field = byId('sound-field', HTMLDivElement);
  readonly #mute = byId('mute', HTMLButtonElement);
  readonly #volume = byId('volume', HTMLInputElement);
  readonly #player = byId('player', HTMLAudioElement);
  /** The browser wants a click before it plays. */
  #isBlocked = false;

  constructor() {
    this.#mute.addEventListener('click', () => {
      if (this.#isBlocked) this.#player.muted = false;
      else this.#player.muted = !this.#player.muted;
      void this.#play();
    });
    this.#volume.addEventListener('input', () => {
      // Who turns it up wants to hear it.
      this.#player.muted = false;
      this.#render();
    });
    this.#render();
  }

  /** Whether the chosen pipeline sends audio: without, there is nothing to turn up. */
  set isOffered(value: boolean) {
    this.#field.hidden = !value;
  }

  /** Plays a stream from now on; undefined ends it. */
  set stream(stream: MediaStream | undefined) {
    this.#player.srcObject = stream ?? null;
    this.#isBlocked = false;
    if (stream) this.isOffered = true;
    void this.#play();
  }

  async #play(): Promise<void> {
    const stream = this.#player.srcObject;
    this.#render();
    if (!stream) return;
    try {
      await this.#player.play();
      this.#isBlocked = false;
    } catch (error) {
      // Another stream, or none, took its place: that one says how it went.
      if (stream !== this.#player.srcObject) return;
      this.#isBlocked = error instanceof DOMException && error.name === 'NotAllowedError';
    }
    this.#render();
  }

  #render(): void {
    const percent = this.#volume.valueAsNumber;
    this.#player.volume = percent / 100;
    this.#volume.setAttribute('aria-valuetext', this.#player.muted ? `${percent} %, muted` : `${percent} %`);
    setText(this.#mute, this.#isBlocked ? 'Play' : this.#player.muted ? 'Unmute' : 'Mute');
  }
}
