// What the colours of the overlay mean.

import type { App } from "./app.js";
import { element, make } from "./dom.js";
import { ScoreOverlay } from "./overlays.js";
import { type RGB, STEPS, classColour, css, ramp } from "./palette.js";
import { scoreAt } from "./painting.js";

/** A colour and what it stands for. */
export function swatch(text: string, colour: RGB): HTMLSpanElement {
  const entry = make("span"), box = make("i");
  box.style.background = css(colour);
  entry.append(box, text);
  return entry;
}

/** Draw a palette on a canvas as many pixels wide as it has colours. */
export function drawRamp(canvas: HTMLCanvasElement, palette: string): void {
  const context = canvas.getContext("2d")!, colours = ramp(palette);
  for (let step = 0; step < STEPS; step++) {
    context.fillStyle = css([colours[3 * step]!, colours[3 * step + 1]!, colours[3 * step + 2]!]);
    context.fillRect(step, 0, 1, canvas.height);
  }
}

export function showLegend(app: App): void {
  const legend = element("legend");
  const canvas = legend.querySelector("canvas")!, caption = legend.querySelector("figcaption")!;
  const overlay = app.overlay;
  legend.hidden = overlay === null;
  if (overlay === null) return;
  canvas.hidden = !(overlay instanceof ScoreOverlay);
  if (!(overlay instanceof ScoreOverlay)) {
    caption.replaceChildren(
      ...app.model!.classes.map((name) => swatch(name, classColour(app.labels.classes.indexOf(name)))),
    );
    return;
  }
  drawRamp(canvas, app.palette);
  const end = (share: number) => scoreAt(share, overlay.range, overlay.isNearSmall).toFixed(3);
  const about = overlay.kind === "change" ? `1 − cosine since ${app.since}` : app.search.query?.metric ?? "";
  caption.replaceChildren(make("span", end(0)), make("span", about), make("span", end(1)));
}
