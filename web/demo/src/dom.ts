/** The element with that id; the page's own markup has it. */
export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`index.html has no ${type.name} #${id}`);
  return element;
}

/** A new element with text or children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  { className = '', text = '' }: { className?: string; text?: string } = {},
  ...children: Node[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  element.append(...children);
  return element;
}

/** Sets a text only when it differs: an untouched node costs no layout and no announcement. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Copies, or says false where the browser does not allow it (a page that is not secure). */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** Copies and says so on the button for a moment. */
export async function copyFromButton(button: HTMLButtonElement, text: string): Promise<boolean> {
  const label = button.dataset['label'] ?? (button.dataset['label'] = button.textContent);
  const copied = await copyText(text);
  button.textContent = copied ? 'Copied' : 'Not allowed here';
  setTimeout(() => (button.textContent = label), 1_500);
  return copied;
}
