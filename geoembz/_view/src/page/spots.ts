// Pixels that somebody pointed at.

import type { Level } from "../core/index.js";
import type { Ground, LonLat } from "./geography.js";

export interface Spot {
  ground: Ground;
  level: number;
  row: number;
  col: number;
  /** Its centre, in the CRS of its grid. */
  place: [number, number];
  lonLat: LonLat;
}

/** Which level of a grid is meant: full resolution, unless somebody says another. */
export type LevelOf = (ground: Ground) => Level;

export const FULL: LevelOf = (ground) => ground.grid.levels[0]!;

/** The pixels at a place, one of each grid that has one there. */
export function spotsAt(grounds: readonly Ground[], asked: LonLat, levelOf: LevelOf = FULL): Spot[] {
  return grounds.flatMap((ground) => {
    const level = levelOf(ground);
    const pixel = ground.pixelAtLonLat(asked, level);
    if (pixel === null) return [];
    const place = ground.centre(level, pixel.row, pixel.col);
    return [{ ground, level: level.index, ...pixel, place, lonLat: ground.toLonLat(place) }];
  });
}

/** Longitude and latitude in words. */
export function inWords([lon, lat]: LonLat): string {
  return `${Math.abs(lat).toFixed(5)}° ${lat < 0 ? "S" : "N"}, ${Math.abs(lon).toFixed(5)}° ${lon < 0 ? "W" : "E"}`;
}
