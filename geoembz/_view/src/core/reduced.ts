/** Reduced space: components before any rotation, weighed where a metric asks for it (spec/format.md, "Views"). */

import { product } from "./decode.js";
import { Encoding, type Projection } from "./encoding.js";
import { encodedComponents } from "./query.js";

const LEAST_DEVIATION = 1e-6; // of the largest

/** `matrix · z + offset` of components z is the reduced vector: shapes `(K, K)`, row by row, and `(K,)`. */
export interface Reduction {
  readonly matrix: Float64Array;
  readonly offset: Float64Array;
}

/** Return how components become reduced vectors; `whiten` is the power of the weights. */
export function reduction(encoding: Encoding, whiten = 0): Reduction {
  const { nComponents: count } = encoding;
  const { law } = encoding.projection;
  const weights = whiten === 0 ? new Float64Array(count).fill(1) : whiteningWeights(encoding, whiten);
  const isPlain = law === "identity" || (law === "orthonormal" && whiten === 0);
  const matrix = isPlain ? diagonal(weights) : unrotation(encoding, weights);
  const offset = product(matrix, meanComponents(encoding), count);
  return { matrix, offset };
}

/** Return the reduced vector, shape `(K,)`, of components, shape `(K,)`; `whiten` is the power of the weights. */
export function reduced(encoding: Encoding, components: ArrayLike<number>, whiten = 0): Float32Array {
  const { matrix, offset } = reduction(encoding, whiten);
  return Float32Array.from(product(matrix, components, encoding.nComponents), (value, j) => value + (offset[j] as number));
}

/** Return a vector in original space, shape `(D,)`, as reduced space has it, without quantization. */
export function reduceVector(encoding: Encoding, vector: ArrayLike<number>, whiten: number): Float64Array {
  return Float64Array.from(reduced(encoding, encodedComponents(encoding, vector), whiten));
}

/** The encoding of the same codes whose original vectors are the reduced ones: what compares vectors needs no more. */
export class ReducedEncoding extends Encoding {
  override readonly dimension: number;
  override readonly projection: Projection;
  override readonly normalize = false;
  private readonly rows: Float32Array;
  private readonly offset: Float32Array;

  constructor(base: Encoding, whiten: number) {
    super(base.state);
    const { matrix, offset } = reduction(base, whiten);
    const count = base.nComponents;
    this.dimension = count;
    this.projection = { ...base.projection, law: "biorthogonal" };
    this.rows = Float32Array.from(matrix, (_, at) => matrix[(at % count) * count + Math.floor(at / count)] as number);
    this.offset = Float32Array.from(offset);
  }

  override get matrix(): Float32Array {
    return this.rows;
  }

  override get mean(): Float32Array {
    return this.offset;
  }
}

/** Return `A · mean`, the components of the mean that encoding takes off, shape `(K,)`. */
function meanComponents(encoding: Encoding): Float64Array {
  const { encoder, mean, nComponents } = encoding;
  if (encoder === null || mean === null) return new Float64Array(nComponents);
  return product(encoder, Float64Array.from(mean), nComponents).map(Math.fround);
}

/** Return `diag(weights · lengths) · Rᵀ`: from components to those before rotation and whitening. */
function unrotation(encoding: Encoding, weights: Float64Array): Float64Array {
  const { nComponents: count, dimension } = encoding;
  const rows = encoding.matrix as Float32Array;
  const rotation = encoding.state.arrays["rotation"];
  const out = new Float64Array(count * count);
  for (let j = 0; j < count; j += 1) {
    const row = new Float64Array(dimension);
    for (let k = 0; k < count; k += 1) {
      const turn = rotation === undefined ? Number(j === k) : (rotation[k * count + j] as number);
      if (turn === 0) continue;
      out[j * count + k] = turn;
      for (let d = 0; d < dimension; d += 1) row[d] = (row[d] as number) + turn * (rows[k * dimension + d] as number);
    }
    const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
    for (let k = 0; k < count; k += 1) out[j * count + k] = (out[j * count + k] as number) * length * (weights[j] as number);
  }
  return out;
}

function diagonal(values: Float64Array): Float64Array {
  const count = values.length;
  const matrix = new Float64Array(count * count);
  values.forEach((value, j) => { matrix[j * count + j] = value; });
  return matrix;
}

function whiteningWeights(encoding: Encoding, power: number): Float64Array {
  const deviation = Float64Array.from(encoding.variance.subarray(0, encoding.nComponents), Math.sqrt);
  const largest = Math.max(...deviation) || 1;
  return deviation.map((sigma) => (Math.max(sigma, LEAST_DEVIATION * largest) / largest) ** -power);
}
