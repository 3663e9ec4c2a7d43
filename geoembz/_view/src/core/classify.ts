/** Apply a linear model to codes as they are stored. */

import type { Block } from "./blocks.js";
import type { Encoding } from "./encoding.js";
import { ViewerError } from "./errors.js";
import { type CodeSum, TILE_PIXELS, foldLinear } from "./fold.js";
import type { LinearModel } from "./train.js";

export const NO_CLASS = 255;

export interface Classes {
  /** Index into the model's classes; 255 where a pixel is invalid. */
  readonly labels: Uint8Array;
  /** Probability of that class; NaN where a pixel is invalid. */
  readonly confidence: Float32Array;
}

/** A model folded into an encoding. */
export class Classifier {
  private readonly outputs: readonly CodeSum[];

  constructor(encoding: Encoding, model: LinearModel) {
    const { dimension } = encoding;
    if (model.weights.length !== model.classes.length * dimension) {
      throw new ViewerError(
        "invalid-query",
        "",
        `a model of ${model.weights.length} weights for ${model.classes.length} classes; expected ${dimension} for each`,
      );
    }
    this.outputs = model.classes.map((_, c) =>
      foldLinear(encoding, model.weights.subarray(c * dimension, (c + 1) * dimension), model.bias[c]),
    );
  }

  /** Return the classes of a block's pixels, shape `(n,)`; of equal ones the first. */
  classes({ codes, n, valid }: Block): Classes {
    const labels = new Uint8Array(n).fill(NO_CLASS);
    const confidence = new Float32Array(n).fill(Number.NaN);
    const sums = this.outputs.map(() => new Float64Array(TILE_PIXELS));
    for (let start = 0; start < n; start += TILE_PIXELS) {
      const stop = Math.min(start + TILE_PIXELS, n);
      this.outputs.forEach((output, c) => output.write(codes, n, start, stop, sums[c] as Float64Array));
      for (let p = start; p < stop; p += 1) {
        if (valid[p] === 0) continue;
        const [label, probability] = largest(sums, p - start);
        labels[p] = label;
        confidence[p] = probability;
      }
    }
    return { labels, confidence };
  }
}

/** Return which output is the largest, and its share after softmax. */
function largest(outputs: readonly Float64Array[], i: number): [number, number] {
  let label = 0;
  let most = Number.NEGATIVE_INFINITY;
  outputs.forEach((output, c) => {
    const value = output[i] as number;
    if (value > most) {
      most = value;
      label = c;
    }
  });
  const total = outputs.reduce((sum, output) => sum + Math.exp((output[i] as number) - most), 0);
  return [label, 1 / total];
}
