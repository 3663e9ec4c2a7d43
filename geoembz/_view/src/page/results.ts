// The part of the panel that says what was found: examples, threshold, nearest places, command.

import type { App } from "./app.js";
import { commandOf } from "./asked.js";
import { button, element, ink, input, make, options, select, sized } from "./dom.js";
import { tried } from "./errors.js";
import { ScoreOverlay } from "./overlays.js";
import { scoreAt } from "./painting.js";
import type { Example } from "./search.js";
import { inWords } from "./spots.js";

const STEPS = 1000; // of the slider

export function bindResults(app: App): void {
  const { metrics } = app.search;
  options(select("metric"), metrics);
  select("metric").addEventListener("change", () => {
    tried(app.search.setMetric(metrics[select("metric").selectedIndex]!));
  });
  input("threshold").addEventListener("input", () => {
    app.restyle({ from: Number(input("threshold").value) / STEPS });
  });
  input("k").addEventListener("change", () => {
    app.search.k = Math.min(Math.max(Math.round(Number(input("k").value)) || 10, 1), 200);
    input("k").value = String(app.search.k);
    tried(app.search.findBest());
  });
  button("clear").addEventListener("click", () => tried(app.search.find([])));
  button("standout").addEventListener("click", () => app.showWhereExamplesStandOut());
  button("copy").addEventListener("click", () => tried(copyCommand()));
  app.addEventListener("change", () => showResults(app));
}

async function copyCommand(): Promise<void> {
  const text = element("command").textContent ?? "";
  try {
    await navigator.clipboard.writeText(text);
    element("copied").textContent = "copied";
  } catch {
    const range = document.createRange();
    range.selectNodeContents(element("command"));
    getSelection()?.removeAllRanges();
    getSelection()?.addRange(range);
    element("copied").textContent = "selected: copy it with Ctrl-C";
  }
}

function showResults(app: App): void {
  const isAsked = app.search.query !== null;
  element("similar").hidden = !isAsked;
  button("standout").hidden = !isAsked;
  if (!isAsked) return;
  select("metric").value = app.search.metric;
  element("examples").replaceChildren(...app.search.examples.map((example) => chip(app, example)));
  showThreshold(app);
  element("best").replaceChildren(...app.search.best.map((found, rank) => {
    const item = make("li");
    const line = make("button", "", { type: "button" });
    line.append(make("span", `${rank + 1}. ${inWords(found.lonLat)}`), make("span", found.score.toFixed(4)));
    line.addEventListener("click", () => app.view.goTo(found.ground, found.place));
    item.append(line);
    return item;
  }));
  const factor = app.store.grids[0]!.levels[app.search.bestLevel]?.factor ?? 1;
  element("best-note").textContent = factor === 1
    ? "Of all pixels in view."
    : `Of means of ${factor} × ${factor} pixels in view; zoom in for single ones.`;
  element("command").textContent = commandOf(app);
  element("copied").textContent = "";
}

function chip(app: App, example: Example): HTMLLIElement {
  const item = make("li", `${example.isFor ? "like" : "unlike"} ${inWords(example.spot.lonLat)}`);
  const remove = make("button", "×", { type: "button", "aria-label": "Remove this example" });
  remove.addEventListener("click", () => tried(app.search.removeExample(example)));
  item.append(remove);
  return item;
}

function showThreshold(app: App): void {
  const overlay = app.overlay;
  if (!(overlay instanceof ScoreOverlay) || overlay.kind !== "similarity") return;
  input("threshold").value = String(Math.round(overlay.from * STEPS));
  element("threshold-value").textContent = scoreAt(overlay.from, overlay.range, overlay.isNearSmall).toFixed(3);
  input("threshold").setAttribute("aria-valuetext", element("threshold-value").textContent!);
  drawHistogram(overlay);
}

/** Bars of how many pixels have which score; what is hidden is faint. */
function drawHistogram(overlay: ScoreOverlay): void {
  const canvas = element<HTMLCanvasElement>("histogram");
  const height = 40, context = sized(canvas, height), counts = overlay.counts?.counts;
  if (counts === undefined) return;
  const width = canvas.clientWidth || 256;
  const most = Math.sqrt(Math.max(...counts, 1));
  for (let bin = 0; bin < counts.length; bin++) {
    const along = overlay.isNearSmall ? counts.length - 1 - bin : bin;
    context.fillStyle = along / counts.length < overlay.from ? ink("--line") : ink("--accent");
    const tall = (Math.sqrt(counts[bin]!) / most) * height;
    context.fillRect((along / counts.length) * width, height - tall, width / counts.length + 0.5, tall);
  }
}
