/** Takes one kind of event. */
export type Listener<T> = (event: T) => void;

/** Typed events: the map gives the payload of each name. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<Listener<never>>>();

  /** Calls `listener` for each event of that name; the returned function (or the signal) ends it. */
  on<K extends keyof Events>(
    type: K,
    listener: Listener<Events[K]>,
    options?: { signal?: AbortSignal },
  ): () => void {
    let listeners = this.#listeners.get(type);
    if (!listeners) this.#listeners.set(type, (listeners = new Set()));
    listeners.add(listener);
    const off = (): void => {
      listeners.delete(listener);
    };
    options?.signal?.addEventListener('abort', off, { once: true });
    return off;
  }

  /** The next event of that name. */
  once<K extends keyof Events>(type: K): Promise<Events[K]> {
    return new Promise((resolve) => {
      const off = this.on(type, (event) => {
        off();
        resolve(event);
      });
    });
  }

  protected emit<K extends keyof Events>(type: K, event: Events[K]): void {
    for (const listener of [...(this.#listeners.get(type) ?? [])]) {
      try {
        (listener as Listener<Events[K]>)(event);
      } catch (error) {
        // A listener's fault is the page's: it must not stop the session or other listeners.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  protected removeListeners(): void {
    this.#listeners.clear();
  }
}
