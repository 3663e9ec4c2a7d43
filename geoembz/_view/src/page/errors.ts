// Errors, where somebody sees them.

import { ViewerError, isAbort } from "../core/index.js";
import { button, element } from "./dom.js";

export function showError(error: unknown): void {
  if (isAbort(error)) return;
  element("error").hidden = false;
  element("error").querySelector("p")!.textContent = inWords(error);
  if (!(error instanceof ViewerError)) console.error(error);
}

export function hideError(): void {
  element("error").hidden = true;
}

export function inWords(error: unknown): string {
  if (error instanceof ViewerError) return error.message;
  return `Something is wrong with this page: ${error instanceof Error ? error.message : String(error)}`;
}

/** Do something that may fail later, and say so if it does. */
export function tried(work: Promise<unknown>): void {
  work.then(hideError, showError);
}

export function bindErrors(): void {
  element("error").querySelector("button")!.addEventListener("click", hideError);
  button("sheet").addEventListener("click", () => {
    const panel = element("panel");
    panel.hidden = !panel.hidden;
    button("sheet").setAttribute("aria-expanded", String(!panel.hidden));
  });
}
