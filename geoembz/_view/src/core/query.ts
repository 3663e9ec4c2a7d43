/** What is looked for: a vector in original space, and how it is compared. */

import type { Encoding } from "./encoding.js";
import { ViewerError } from "./errors.js";
import { product } from "./decode.js";
import { type Metric, parseMetric, suits } from "./metric.js";

export interface Query {
  readonly metric: Metric;
  /** Shape `(D,)`. */
  readonly vector: Float32Array;
  /**
   * Compare by the first components alone: a first look, at a part of the bytes. Only where they are ordered
   * (`encoding.isOrdered`); the scores are those of the store of so many components, and not those of `geoembz.search`.
   */
  readonly components?: number;
}

/**
 * Make one query of several examples: the mean of those for, less the mean of those against.
 *
 * For `cosine` each example is scaled to length 1 first, so that none counts more than another. One example for and none
 * against is the query itself.
 */
export function combine(
  metric: Metric,
  examples: { readonly for: readonly Float32Array[]; readonly against?: readonly Float32Array[] },
): Query {
  const against = examples.against ?? [];
  const [first] = examples.for;
  if (first === undefined) throw new ViewerError("invalid-query", "", "a query needs at least one example to look for");
  if (examples.for.length === 1 && against.length === 0) return { metric, vector: first.slice() };
  const isOfDirections = parseMetric(metric)?.name === "cosine";
  const sums = new Float64Array(first.length);
  const add = (vector: Float32Array, share: number): void => {
    if (vector.length !== first.length) {
      throw new ViewerError("invalid-query", "", `examples of ${first.length} and ${vector.length} numbers`);
    }
    const weight = isOfDirections ? share / (lengthOf(vector) || 1) : share;
    for (let d = 0; d < sums.length; d += 1) sums[d] = (sums[d] as number) + weight * (vector[d] as number);
  };
  for (const vector of examples.for) add(vector, 1 / examples.for.length);
  for (const vector of against) add(vector, -1 / against.length);
  return { metric, vector: Float32Array.from(sums) };
}

/**
 * Return a query as it is compared: checked, and of length 1 where the recipe scales vectors (`l2-…`).
 *
 * @throws ViewerError where it is no vector of this encoding, or the metric does not suit its codes
 */
export function checkedVector(encoding: Encoding, query: Query): Float64Array {
  const { vector, metric } = query;
  if (vector.length !== encoding.dimension || !vector.every(Number.isFinite)) {
    throw new ViewerError(
      "invalid-query",
      "",
      `a query of ${vector.length} numbers; expected ${encoding.dimension} finite ones: a vector as before the conversion`,
    );
  }
  if (!suits(encoding, metric)) {
    throw new ViewerError("invalid-query", "", `metric ${metric} does not suit ${encoding.recipe} codes; use cosine`);
  }
  const length = encoding.normalize ? lengthOf(vector) || 1 : 1;
  return Float64Array.from(vector, (value) => Math.fround(value / length));
}

/** Return the bits of a vector, packed as stored, shape `(L,)`; only of `binary` encodings. */
export function encodedBits(encoding: Encoding, vector: ArrayLike<number>): Uint8Array {
  const bits = new Uint8Array(encoding.codeLength);
  const threshold = encoding.array("threshold");
  encodedComponents(encoding, vector).forEach((z, k) => {
    if (Math.fround(z) > (threshold[k] as number)) bits[k >> 3] = (bits[k >> 3] as number) | (1 << (k & 7));
  });
  return bits;
}

/** Return the components of a vector before quantization, shape `(K,)`. */
export function encodedComponents(encoding: Encoding, vector: ArrayLike<number>): Float64Array {
  const { encoder, mean, nComponents } = encoding;
  if (encoder === null || mean === null) return Float64Array.from(vector);
  const centred = Float64Array.from(vector, (value, d) => value - (mean[d] as number));
  return product(encoder, centred, nComponents);
}

/**
 * Return the components in which a vector stands out most against the fit's sample, most first.
 *
 * They are ranked by the distance from the mean in standard deviations; of `rotated` encodings, whose components have no
 * variance of their own on record, in plain numbers.
 */
export function standout(encoding: Encoding, vector: Float32Array, count = 3): number[] {
  const { projection, variance } = encoding;
  const deviation = (k: number): number => {
    const sigma = Math.sqrt(variance[k] as number);
    return projection.rotated || sigma === 0 ? 1 : sigma ** (1 - projection.whiten);
  };
  const components = encodedComponents(encoding, vector);
  const order = Array.from(components, (z, k) => ({ k, distance: Math.abs(z) / deviation(k) }));
  order.sort((a, b) => b.distance - a.distance || a.k - b.k);
  return order.slice(0, count).map(({ k }) => k);
}

function lengthOf(vector: ArrayLike<number>): number {
  let sum = 0;
  for (let d = 0; d < vector.length; d += 1) sum += (vector[d] as number) ** 2;
  return Math.sqrt(sum);
}
