import { listMicrophones, type MediaInput, type PipelineInfo } from '@remotemedia/client';
import { byId, make } from './dom.ts';

export type SourceKind = 'microphone' | 'file' | 'none';

/** What is sent: the choice of microphone, device or file. */
export class SourceChoice {
  readonly #field = byId('source-field', HTMLLabelElement);
  readonly #kind = byId('source', HTMLSelectElement);
  readonly #deviceField = byId('device-field', HTMLLabelElement);
  readonly #device = byId('device', HTMLSelectElement);
  readonly #fileField = byId('file-field', HTMLDivElement);
  readonly #file = byId('file', HTMLInputElement);
  readonly #onChange: () => void;
  readonly #nothing = option('none', '');
  #isListener: boolean;
  #takes: PipelineInfo['takesAudio'] = 'needed';
  /** Whether the microphone shall leave out what the loudspeaker plays. */
  cancelsEcho = false;

  /** `onChange` is called when the user chose something that can be sent. */
  constructor(onChange: () => void, canListen: boolean) {
    this.#onChange = onChange;
    this.#isListener = canListen;
    this.#offerNothing();
    if (canListen) this.#kind.value = 'none';
    this.#kind.addEventListener('change', () => {
      this.#update();
      // Without a file there is nothing to send yet.
      if (this.kind !== 'file' || this.#file.files?.length) this.#onChange();
    });
    this.#device.addEventListener('change', onChange);
    this.#file.addEventListener('change', () => {
      if (this.#file.files?.length) this.#onChange();
    });
    this.#devices?.addEventListener('devicechange', () => void this.refreshDevices());
    this.#update();
    void this.refreshDevices();
  }

  /** What the pipeline takes: a source is chosen only where it takes audio. */
  set takes(takes: PipelineInfo['takesAudio']) {
    this.#takes = takes;
    this.#offerNothing();
  }

  get kind(): SourceKind {
    if (this.#takes === 'none') return 'none';
    const { value } = this.#kind;
    return value === 'file' || value === 'none' ? value : 'microphone';
  }

  /** What to send; undefined while no file is chosen. */
  get input(): MediaInput | undefined {
    switch (this.kind) {
      case 'none':
        return { kind: 'none' };
      case 'microphone':
        return {
          kind: 'microphone',
          ...(this.#device.value ? { deviceId: this.#device.value } : {}),
          ...(this.cancelsEcho ? { constraints: { echoCancellation: true } } : {}),
        };
      case 'file': {
        const file = this.#file.files?.[0];
        return file && { kind: 'file', file };
      }
    }
  }

  /** Listening alone is no longer a choice: there is nobody to listen to. */
  needsInput(): void {
    if (this.#isListener && this.#kind.value === 'none') this.#kind.value = 'microphone';
    this.#isListener = false;
    this.#offerNothing();
  }

  /** Opens the browser's own choice of files. */
  askForFile(): void {
    this.#file.click();
  }

  /** Lists the microphones again; their names are known once the page was allowed to use one. */
  async refreshDevices(): Promise<void> {
    const devices = (await listMicrophones(this.#devices).catch(() => [])).filter(({ label }) => label !== '');
    const chosen = this.#device.value;
    this.#device.replaceChildren(
      option('', 'Default'),
      ...devices.filter(({ deviceId }) => deviceId !== 'default').map(({ deviceId, label }) => option(deviceId, label)),
    );
    // One that is gone leaves the default chosen.
    if (devices.some(({ deviceId }) => deviceId === chosen)) this.#device.value = chosen;
  }

  get #devices(): MediaDevices | undefined {
    return navigator.mediaDevices;
  }

  #offerNothing(): void {
    this.#nothing.textContent = this.#isListener ? 'Listen only' : 'No audio';
    if (this.#isListener || this.#takes === 'optional') {
      this.#kind.append(this.#nothing);
    } else {
      if (this.#kind.value === 'none') this.#kind.value = 'microphone';
      this.#nothing.remove();
    }
    this.#update();
  }

  #update(): void {
    this.#field.hidden = this.#takes === 'none';
    this.#deviceField.hidden = this.kind !== 'microphone';
    this.#fileField.hidden = this.kind !== 'file';
  }
}

function option(value: string, text: string): HTMLOptionElement {
  const element = make('option', { text });
  element.value = value;
  return element;
}
