/** How far pixels moved between two dates. */

import type { Block } from "./blocks.js";
import { TILE_PIXELS } from "./fold.js";
import { rowProducts } from "./rows.js";
import type { Lengths } from "./score.js";

export type ChangeMetric = "cosine" | "euclidean";

/**
 * Compare two dates of a block.
 *
 * @returns `1 - cosine` or the Euclidean distance of decoded vectors, shape `(n,)`; NaN where either is invalid
 */
export function change(before: Block, after: Block, metric: ChangeMetric, lengths: Lengths): Float32Array {
  const isometry = metric === "cosine" ? lengths.fromOrigin : lengths.fromMean;
  const compare = metric === "cosine" ? oneLessCosines : distances;
  const { n } = before;
  const out = new Float32Array(n);
  const one = new Float64Array(isometry.length * TILE_PIXELS);
  const other = new Float64Array(one.length);
  for (let start = 0; start < n; start += TILE_PIXELS) {
    const stop = Math.min(start + TILE_PIXELS, n);
    isometry.write(before.codes, n, start, stop, one);
    isometry.write(after.codes, n, start, stop, other);
    out.set(compare(one, other, isometry.length, stop - start), start);
  }
  for (let p = 0; p < n; p += 1) if (before.valid[p] === 0 || after.valid[p] === 0) out[p] = Number.NaN;
  return out;
}

/** Of short vectors, shape `(length, count)` each. */
type Compare = (a: Float64Array, b: Float64Array, length: number, count: number) => Float64Array;

const oneLessCosines: Compare = (a, b, length, count) => {
  const products = rowProducts(a, b, length, count);
  const squaresA = rowProducts(a, a, length, count);
  const squaresB = rowProducts(b, b, length, count);
  return products.map((product, i) => {
    const lengths = Math.sqrt((squaresA[i] as number) * (squaresB[i] as number));
    return lengths > 0 ? 1 - product / lengths : 1;
  });
};

const distances: Compare = (a, b, length, count) => {
  for (let i = 0; i < length * count; i += 1) a[i] = (a[i] as number) - (b[i] as number);
  return rowProducts(a, a, length, count).map(Math.sqrt);
};
