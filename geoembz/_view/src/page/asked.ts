// What is asked on the map, as a line for a terminal.

import type { Level, Window } from "../core/index.js";
import type { App } from "./app.js";
import { searchLine } from "./command.js";

type Part = { level: Level; window: Window };

/** The command that finds what the page shows; null while nothing is asked. */
export function commandOf(app: App): string | null {
  const { query, examples, bestLevel, k } = app.search;
  if (query === null) return null;
  const parts = app.inView();
  const only = app.grounds.length === 1 ? app.grounds[0]! : null;
  const crs = only === null || only.isGeographic ? null : only.grid.crs.code;
  const inCrs = only !== null && (crs !== null || only.isGeographic);
  const points = (isFor: boolean) => examples.filter((example) => example.isFor === isFor)
    .map(({ spot }) => (inCrs ? spot.place : spot.lonLat));
  const isWhole = parts.length === app.grounds.length && parts.every((part) => part.isWhole);
  return searchLine({
    store: app.name,
    for: points(true),
    against: points(false),
    crs,
    pixel: inCrs ? Math.abs(only!.grid.levels[0]!.transform[0]) : 1e-5,
    k,
    metric: query.metric,
    time: app.date,
    level: examples.some(({ isFull }) => isFull) ? 0 : bestLevel,
    box: isWhole || parts.length === 0 ? null : boxOf(app, parts),
  });
}

/** The box that is in view: in the CRS of the only grid, or, of several ones, in that of their map. */
function boxOf(app: App, parts: readonly Part[]): { corners: number[]; crs: string | null } {
  if (app.grounds.length > 1) return { corners: app.view.extent(), crs: "EPSG:3857" };
  return { corners: around(parts[0]!), crs: null };
}

/** The box whose pixels are a window's: a little less, since a box takes all that it touches. */
function around({ level, window }: Part): number[] {
  const [a, , c, , e, f] = level.transform;
  const west = c + a * (window.col + 0.25), east = c + a * (window.col + window.width - 0.25);
  const north = f + e * (window.row + 0.25), south = f + e * (window.row + window.height - 0.25);
  return [west, Math.min(south, north), east, Math.max(south, north)];
}
