// What is asked on the map, as a line for a terminal.

import type { Level, Window } from "../core/index.js";
import type { App } from "./app.js";
import { searchLine } from "./command.js";

/** The command that finds what the page shows; null while nothing is asked. */
export function commandOf(app: App): string | null {
  if (app.query === null) return null;
  const parts = app.inView();
  const only = app.grounds.length === 1 ? app.grounds[0]! : null;
  const crs = only === null || only.isGeographic ? null : only.grid.crs.code;
  const inCrs = only !== null && (crs !== null || only.isGeographic);
  const points = (isFor: boolean) => app.examples.filter((example) => example.isFor === isFor)
    .map(({ spot }) => (inCrs ? spot.place : spot.lonLat));
  const isWhole = parts.length === app.grounds.length && parts.every((part) => part.isWhole);
  return searchLine({
    store: app.name,
    for: points(true),
    against: points(false),
    crs,
    pixel: inCrs ? Math.abs(only!.grid.levels[0]!.transform[0]) : 1e-5,
    k: app.k,
    metric: app.query.metric,
    time: app.date,
    level: app.examples.some(({ isFull }) => isFull) ? 0 : app.bestLevel,
    box: isWhole || only === null || parts.length === 0 ? null : boxOf(parts[0]!),
  });
}

/** The box whose pixels are a window's: a little less, since a box takes all that it touches. */
function boxOf({ level, window }: { level: Level; window: Window }): [number, number, number, number] {
  const [a, , c, , e, f] = level.transform;
  const west = c + a * (window.col + 0.25), east = c + a * (window.col + window.width - 0.25);
  const north = f + e * (window.row + 0.25), south = f + e * (window.row + window.height - 0.25);
  return [west, Math.min(south, north), east, Math.max(south, north)];
}
