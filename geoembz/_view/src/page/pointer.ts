// What lies under the pointer, or in the middle of the map: place, numbers, score.

import type { App } from "./app.js";
import { element, ink, sized } from "./dom.js";
import type { LonLat } from "./geography.js";
import { spotsAt, inWords } from "./spots.js";

const PAUSE_MS = 60;

export interface Value {
  lon: number; lat: number;
  grid: string; row: number; col: number; x: number; y: number;
  time: string | null;
  components: number[];
  score: number | null;
}

/** The numbers at a place, at full resolution; null where there is no embedding. */
export async function valueAt(app: App, place: LonLat): Promise<Value | null> {
  for (const { ground, row, col, place: [x, y], lonLat: [lon, lat] } of spotsAt(app.grounds, place)) {
    const window = app.dated({ grid: ground.index, level: 0, row, col, height: 1, width: 1 });
    if (window === null) continue;
    const every = Array.from({ length: app.store.encoding.nComponents }, (_, component) => component);
    const { values, valid } = await app.engine.components(window, every);
    if (!valid[0]) continue;
    const score = app.search.query === null ? null : (await app.engine.scores(window, app.search.query))[0]!;
    return { lon, lat, grid: ground.grid.name, row, col, x, y, time: app.date, components: [...values], score };
  }
  return null;
}

export function bindPointer(app: App): void {
  let waiting: ReturnType<typeof setTimeout> | undefined;
  let asked = 0;
  app.view.map.on("pointermove", (event) => {
    if (event.dragging) return;
    clearTimeout(waiting);
    const coordinate = event.coordinate;
    waiting = setTimeout(() => {
      const number = ++asked;
      peek(app, app.view.lonLat(coordinate)).then((show) => number === asked && show(), () => undefined);
    }, PAUSE_MS);
  });
}

/** Look at the level that is scored, which is in memory, or at the one that is drawn; return what shows it. */
export async function peek(app: App, place: LonLat): Promise<() => void> {
  for (const { ground } of spotsAt(app.grounds, place)) {
    const level = app.search.query === null ? app.view.levelInView(ground) : app.scale.levelOf(ground);
    const pixel = ground.pixelAtLonLat(place, level);
    const window = pixel && app.dated({ grid: ground.index, level: level.index, ...pixel, height: 1, width: 1 });
    if (!window) continue;
    const every = Array.from({ length: app.store.encoding.nComponents }, (_, component) => component);
    const { values, valid } = await app.engine.components(window, every);
    if (!valid[0]) continue;
    const score = app.search.query === null ? null : (await app.engine.scores(window, app.search.query))[0]!;
    const text = [inWords(place), `row ${window.row}, column ${window.col}`, level.factor > 1 ? `mean of ${level.factor} × ${level.factor}` : "", score === null ? "" : `${app.search.query!.metric} ${score.toFixed(4)}`];
    return () => show(text.filter(Boolean).join(" · "), values);
  }
  return () => show(`${inWords(place)} · no embedding here`, null);
}

function show(text: string, values: Float32Array | null): void {
  element("here").textContent = text;
  const canvas = element<HTMLCanvasElement>("bars");
  canvas.hidden = values === null;
  if (values !== null) drawBars(canvas, values);
}

/** One bar a component, up or down from the middle. */
function drawBars(canvas: HTMLCanvasElement, values: Float32Array): void {
  const height = 56, context = sized(canvas, height), width = canvas.clientWidth || 256;
  const most = Math.max(...values.map(Math.abs), Number.MIN_VALUE);
  context.fillStyle = ink("--line");
  context.fillRect(0, height / 2, width, 1);
  context.fillStyle = ink("--accent");
  values.forEach((value, i) => {
    const tall = (value / most) * (height / 2 - 2);
    context.fillRect((i / values.length) * width, height / 2 - Math.max(tall, 0), Math.max(width / values.length - 1, 1), Math.abs(tall));
  });
}
