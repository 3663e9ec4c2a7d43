/** What it takes to read the codes of what is in view. */

import { itemBytes } from "./codecs.js";
import type { Level } from "./grids.js";
import { type Rectangle, intersection } from "./windows.js";

/** Return the bytes, before compression, of all codes in the chunks that a window touches; those beyond the level's edge are none. */
export function codeBytes(level: Level, window: Rectangle): number {
  const { shape, type } = level.arrays.embedding;
  const inside = intersection(window, { row: 0, col: 0, height: level.height, width: level.width });
  if (inside === null) return 0;
  const rows = whole(inside.row, inside.height, level.chunk[0], level.height);
  const cols = whole(inside.col, inside.width, level.chunk[1], level.width);
  return rows * cols * (shape.at(-3) ?? 1) * itemBytes(type);
}

/** Return how long the chunks are, along one axis, that a stretch touches. */
function whole(start: number, length: number, chunk: number, end: number): number {
  const first = Math.floor(start / chunk) * chunk;
  return Math.min(Math.ceil((start + length) / chunk) * chunk, end) - first;
}
