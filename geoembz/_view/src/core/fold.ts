/**
 * Linear functions of decoded vectors, evaluated on their codes, as `geoembz/_search/linear_fold.py` does.
 *
 * `weights · x + bias` of a decoded `x = projectionᵀ · z + mean` is linear in the components z; so weights fold into
 * the projection once. What a stored byte adds then comes out of a table of 256 entries, whatever it stands for: a
 * code of 8 bits, several narrow ones, a centre of `pq`, or a codeword of `rq`.
 */

import { asBytes, componentsOfBytes, product } from "./decode.js";
import type { Codes, Encoding } from "./encoding.js";
import { addLookedUp, addWeighed } from "./rows.js";

/** Pixels summed at once: their sums stay in the processor's cache. */
export const TILE_PIXELS = 4096;

/** A sum over the stored numbers of a pixel, each taken through a table or multiplied by a weight. */
export class CodeSum {
  /**
   * @param tables shape `(L, 256)`, of byte codes; null for floats
   * @param weights shape `(L,)`, of float codes
   * @param constant added once
   */
  private constructor(
    private readonly tables: Float32Array | null,
    private readonly weights: Float64Array,
    private readonly constant: number,
  ) {}

  /** Return the sum of `term(component, value)` over all components, by tables; only for byte codes. */
  static ofTerms(encoding: Encoding, term: (k: number, value: number) => number, constant: number): CodeSum {
    const values = componentsOfBytes(encoding);
    const { nComponents, codeLength, componentsPerCode } = encoding;
    const tables = new Float64Array(codeLength * 256);
    for (let k = 0; k < nComponents; k += 1) {
      const row = Math.floor(k / componentsPerCode) * 256;
      for (let byte = 0; byte < 256; byte += 1) {
        const value = values[k * 256 + byte] as number;
        tables[row + byte] = (tables[row + byte] as number) + term(k, value);
      }
    }
    return new CodeSum(Float32Array.from(tables), new Float64Array(0), constant);
  }

  /** Return `weights · z + constant` of the components z. */
  static linear(encoding: Encoding, weights: Float64Array, constant: number): CodeSum {
    if (!encoding.isBytes) return new CodeSum(null, weights, constant);
    if (encoding.quantizer.law === "residual") return CodeSum.ofStages(encoding, weights, constant);
    return CodeSum.ofTerms(encoding, (k, value) => (weights[k] as number) * value, constant);
  }

  /** Return the same of sums of codewords: each of them adds its own product. */
  private static ofStages(encoding: Encoding, weights: Float64Array, constant: number): CodeSum {
    const { codeLength, nComponents } = encoding;
    const tables = product(encoding.array("codebook"), weights.subarray(0, nComponents), codeLength * 256);
    return new CodeSum(Float32Array.from(tables), new Float64Array(0), constant);
  }

  /** Return the number of bits in which stored bytes differ from `bits`, shape `(L,)`. */
  static differingBits(bits: Uint8Array): CodeSum {
    const tables = new Float32Array(bits.length * 256);
    tables.forEach((_, index) => {
      let differing = (index & 0xff) ^ (bits[index >> 8] as number);
      for (; differing > 0; differing &= differing - 1) tables[index] = (tables[index] as number) + 1;
    });
    return new CodeSum(tables, new Float64Array(0), 0);
  }

  /**
   * Write the sums of some pixels.
   *
   * @param codes shape `(L, n)`
   * @param out receives `stop - start` numbers, from its beginning
   */
  write(codes: Codes, n: number, start: number, stop: number, out: Float64Array): void {
    out.fill(this.constant, 0, stop - start);
    if (this.tables !== null) addLookedUp(asBytes(codes), n, start, stop - start, this.tables, out);
    else addWeighed(codes as Float32Array, n, start, stop - start, this.weights, out);
  }
}

/**
 * Fold weights on original vectors into an encoding.
 *
 * @param weights shape `(D,)`
 * @param shift subtracted from the decoded vectors first, shape `(D,)`; null for nothing
 * @returns `weights · (x - shift) + bias` of decoded vectors x
 */
export function foldLinear(
  encoding: Encoding,
  weights: ArrayLike<number>,
  bias = 0,
  shift: ArrayLike<number> | null = null,
): CodeSum {
  const { matrix, mean, nComponents, dimension } = encoding;
  let constant = bias;
  for (let d = 0; d < dimension; d += 1) {
    constant += (weights[d] as number) * ((mean?.[d] ?? 0) - (shift?.[d] ?? 0));
  }
  const inner = matrix === null ? Float64Array.from(weights) : product(matrix, weights, nComponents);
  return CodeSum.linear(encoding, inner, constant);
}
