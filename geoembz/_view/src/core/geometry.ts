/** Pixels and CRS coordinates. */

import type { Grid, Resolution } from "./grids.js";

/** Return the pixel that a place lies in; null outside the level. */
export function pixelAt(level: Resolution, x: number, y: number): { row: number; col: number } | null {
  const [a, b, c, d, e, f] = level.transform;
  const determinant = a * e - b * d;
  const col = Math.floor((e * (x - c) - b * (y - f)) / determinant);
  const row = Math.floor((a * (y - f) - d * (x - c)) / determinant);
  const isInside = row >= 0 && row < level.height && col >= 0 && col < level.width;
  return isInside ? { row, col } : null;
}

/** Return the centre of a pixel, `[x, y]`, in CRS units. */
export function centreOf(level: Resolution, row: number, col: number): [number, number] {
  const [a, b, c, d, e, f] = level.transform;
  return [a * (col + 0.5) + b * (row + 0.5) + c, d * (col + 0.5) + e * (row + 0.5) + f];
}

/** Return the index of the coarsest level that is at least as fine as a screen's pixel, which is so many CRS units wide. */
export function levelFor(grid: Grid, unitsPerPixel: number): number {
  const finest = Math.abs(grid.levels[0]?.transform[0] ?? 1);
  const fineEnough = grid.levels.filter((level) => level.factor * finest <= unitsPerPixel * (1 + 1e-9));
  return Math.max(fineEnough.length - 1, 0);
}
