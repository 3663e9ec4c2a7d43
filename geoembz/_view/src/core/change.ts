/** How far pixels moved between two dates. */

import type { Block } from "./blocks.js";
import { TILE_PIXELS } from "./fold.js";
import type { Lengths } from "./score.js";

export type ChangeMetric = "cosine" | "euclidean";

/**
 * Compare two dates of a block.
 *
 * @returns `1 - cosine` or the Euclidean distance of decoded vectors, shape `(n,)`; NaN where either is invalid
 */
export function change(before: Block, after: Block, metric: ChangeMetric, lengths: Lengths): Float32Array {
  const isometry = metric === "cosine" ? lengths.fromOrigin : lengths.fromMean;
  const { n } = before;
  const out = new Float32Array(n);
  const [one, other] = [0, 1].map(() => new Float64Array(isometry.length * TILE_PIXELS)) as [Float64Array, Float64Array];
  for (let start = 0; start < n; start += TILE_PIXELS) {
    const stop = Math.min(start + TILE_PIXELS, n);
    isometry.write(before.codes, n, start, stop, one);
    isometry.write(after.codes, n, start, stop, other);
    const compare = metric === "cosine" ? oneLessCosine : distance;
    for (let p = start; p < stop; p += 1) {
      const isValid = before.valid[p] === 1 && after.valid[p] === 1;
      out[p] = isValid ? compare(one, other, isometry.length, stop - start, p - start) : Number.NaN;
    }
  }
  return out;
}

function oneLessCosine(a: Float64Array, b: Float64Array, length: number, count: number, i: number): number {
  let [product, squareA, squareB] = [0, 0, 0];
  for (let k = 0; k < length; k += 1) {
    const x = a[k * count + i] as number;
    const y = b[k * count + i] as number;
    product += x * y;
    squareA += x * x;
    squareB += y * y;
  }
  const lengths = Math.sqrt(squareA * squareB);
  return lengths > 0 ? 1 - product / lengths : 1;
}

function distance(a: Float64Array, b: Float64Array, length: number, count: number, i: number): number {
  let sum = 0;
  for (let k = 0; k < length; k += 1) sum += ((a[k * count + i] as number) - (b[k * count + i] as number)) ** 2;
  return Math.sqrt(sum);
}
