// The page's elements, by their ids in index.html.

export function element<Kind extends HTMLElement = HTMLElement>(id: string): Kind {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`index.html has no element #${id}`);
  return found as Kind;
}

export const input = (id: string) => element<HTMLInputElement>(id);
export const select = (id: string) => element<HTMLSelectElement>(id);
export const button = (id: string) => element<HTMLButtonElement>(id);

export function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name, text = "", attributes: Record<string, string> = {},
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export function options(list: HTMLSelectElement, texts: readonly string[], values = texts): void {
  list.replaceChildren(...texts.map((text, i) => make("option", text, { value: values[i]! })));
}

/** A canvas as wide as it is shown, sharp on fine screens, empty. */
export function sized(canvas: HTMLCanvasElement, height: number): CanvasRenderingContext2D {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth || 256;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d")!;
  context.scale(ratio, ratio);
  return context;
}

export function ink(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
