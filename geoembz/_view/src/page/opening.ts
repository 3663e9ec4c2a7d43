// Where the map opens, and how far it zooms in and out.

import { createEmpty, extend, getCenter, getHeight, getWidth } from "ol/extent.js";
import type { Extent } from "ol/extent.js";
import type { ViewOptions } from "ol/View.js";
import type Projection from "ol/proj/Projection.js";
import { transformExtent } from "ol/proj.js";
import type { Raster, Resolution } from "../core/index.js";
import type { Ground } from "./geography.js";

/** Widest side, in pixels of the coarsest level, of what is drawn at once. */
const WIDEST = 2048;
/** Pixels of the screen that the largest grid must fill to be seen. */
const VISIBLE = 48;
const MARGIN = 1.1;

/** `isBounded`: zooming out ends before everything is in view, since the store has no levels for it. */
export interface Opening { view: ViewOptions; isBounded: boolean }

export function openingOf(grounds: readonly Ground<Raster>[], projection: Projection, size: readonly [number, number]): Opening {
  const all = createEmpty();
  const extents = grounds.map((ground) => extentOnMap(ground, projection));
  for (const extent of extents) extend(all, extent);
  const fitting = (extent: Extent) => MARGIN * Math.max(getWidth(extent) / size[0], getHeight(extent) / size[1]);
  const coarsest = grounds.map(({ grid }) => grid.levels.at(-1)!);
  const pixels = coarsest.reduce((sum, { height, width }) => sum + height * width, 0);
  const units = grounds.map((ground, i) => mapUnits(ground, coarsest[i]!, projection));
  const widest = Math.max(...units.map((unit, i) => unit * widestOf(coarsest[i]!)));
  const farthest = pixels > WIDEST * WIDEST ? widest : Math.max(widest, fitting(all));
  const largest = extents.reduce((a, b) => (getWidth(b) > getWidth(a) ? b : a));
  const isSeen = fitting(all) <= MARGIN * farthest && getWidth(largest) >= VISIBLE * fitting(all);
  const first = isSeen ? all : largest;
  return {
    isBounded: fitting(all) > MARGIN * farthest,
    view: {
      projection,
      center: getCenter(first),
      resolution: Math.min(fitting(first), farthest),
      maxResolution: Math.min(Math.max(fitting(all), ...units), farthest) * 1.0001,
      minResolution: Math.min(...grounds.map((ground) => mapUnits(ground, ground.grid.levels[0]!, projection))) / 32,
      showFullExtent: true,
    },
  };
}

export function extentOnMap(ground: Ground<Raster>, projection: Projection, level?: Resolution): Extent {
  return transformExtent(ground.extent(level), ground.projection, projection, 16);
}

/** Units of the map that a pixel of a level is wide. */
function mapUnits(ground: Ground<Raster>, level: Resolution, projection: Projection): number {
  return getWidth(extentOnMap(ground, projection, level)) / level.width;
}

/** Pixels of a grid's coarsest level that a pixel of the screen may cover. */
function widestOf(coarsest: Resolution): number {
  const longest = Math.max(coarsest.width, coarsest.height);
  const whole = longest / 300; // of a screen that is small
  return longest > WIDEST ? WIDEST / 1000 : Math.max(whole, 4);
}

/** Units of the map that a pixel of the screen may be wide for a map to be drawn: a large one without overviews would be read whole. */
export function farthestOf(ground: Ground<Raster>, projection: Projection): number {
  const coarsest = ground.grid.levels.at(-1)!;
  if (Math.max(coarsest.width, coarsest.height) <= WIDEST) return Infinity;
  return mapUnits(ground, coarsest, projection) * widestOf(coarsest);
}
