/**
 * Short vectors with the lengths and products of the original ones.
 *
 * Decoded vectors less a shift, `x - shift = projectionᵀ · z + (mean - shift)`, lie in a subspace. Where the rows of the
 * projection are orthogonal their products are those of components, moved and scaled, and one constant; otherwise those of
 * components passed through a triangle that has the rows' lengths and angles.
 */

import { Dequantizer, product } from "./decode.js";
import type { Codes, Encoding } from "./encoding.js";
import { CodeSum, TILE_PIXELS } from "./fold.js";
import { addWeighed, rowProducts } from "./rows.js";

export class Isometry {
  /** Added to components, shape `(K,)`, and what these are then multiplied with: the lengths of the rows. */
  private readonly offset: Float64Array;
  private readonly scale: Float64Array;
  /** Square of the part that all vectors share outside the subspace. */
  readonly residual: number;
  /** Upper triangle, shape `(K + 1, K + 1)`, of components and a one; null where rows are orthogonal. */
  private readonly triangle: Float64Array | null;
  private readonly squares: CodeSum | null;
  private readonly dequantizer: Dequantizer;

  /** @param shift subtracted from decoded vectors, shape `(D,)`; null for nothing */
  constructor(
    readonly encoding: Encoding,
    shift: ArrayLike<number> | null,
  ) {
    this.dequantizer = new Dequantizer(encoding);
    const { matrix, mean, nComponents, dimension, projection } = encoding;
    const constant = Float64Array.from({ length: dimension }, (_, d) => (mean?.[d] ?? 0) - (shift?.[d] ?? 0));
    const squares = projection.law === "biorthogonal" ? orthogonalSquares(encoding) : new Float64Array(nComponents).fill(1);
    this.triangle = squares === null ? triangleOf(encoding, constant) : null;
    this.scale = (squares ?? new Float64Array(nComponents)).map(Math.sqrt);
    const along = matrix === null ? constant : product(matrix, constant, nComponents);
    this.offset = along.map((value, k) => (squares?.[k] ? value / squares[k]! : 0));
    const inside = this.offset.reduce((sum, value, k) => sum + value * value * (squares?.[k] ?? 0), 0);
    const whole = constant.reduce((sum, value) => sum + value * value, 0);
    this.residual = matrix === null ? 0 : Math.max(whole - inside, 0);
    this.squares =
      squares !== null && encoding.isBytes && encoding.quantizer.law !== "residual"
        ? CodeSum.ofTerms(encoding, (k, value) => (value + (this.offset[k] as number)) ** 2 * (squares[k] as number), this.residual)
        : null;
  }

  /** Numbers of a short vector. */
  get length(): number {
    return this.encoding.nComponents + 1;
  }

  /**
   * Write the short vectors of some pixels, number by number: shape `(K + 1, count)`.
   *
   * @param codes shape `(L, n)`
   */
  write(codes: Codes, n: number, start: number, stop: number, out: Float64Array): void {
    const count = stop - start;
    const last = this.encoding.nComponents;
    for (let k = 0; k < last; k += 1) this.dequantizer.write(codes, n, k, start, stop, out, k * count);
    if (this.triangle !== null) {
      out.fill(1, last * count, (last + 1) * count);
      multiplyTriangle(this.triangle, last + 1, out, count);
      return;
    }
    for (let k = 0; k < last; k += 1) {
      const offset = this.offset[k] as number, scale = this.scale[k] as number;
      for (let i = k * count; i < (k + 1) * count; i += 1) out[i] = ((out[i] as number) + offset) * scale;
    }
    out.fill(Math.sqrt(this.residual), last * count, (last + 1) * count);
  }

  /** Return the squared lengths of all pixels of a block, shape `(n,)`. */
  squaredLengths(codes: Codes, n: number): Float32Array {
    const lengths = new Float32Array(n);
    const sums = new Float64Array(TILE_PIXELS);
    const vectors = new Float64Array(this.squares === null ? this.length * TILE_PIXELS : 0);
    for (let start = 0; start < n; start += TILE_PIXELS) {
      const stop = Math.min(start + TILE_PIXELS, n);
      if (this.squares !== null) {
        this.squares.write(codes, n, start, stop, sums);
        lengths.set(sums.subarray(0, stop - start), start);
      } else {
        this.write(codes, n, start, stop, vectors);
        lengths.set(rowProducts(vectors, vectors, this.length, stop - start), start);
      }
    }
    return lengths;
  }
}

/** Replace columns by the upper triangle times them; rows above are done first, so nothing is overwritten too early. */
function multiplyTriangle(triangle: Float64Array, size: number, columns: Float64Array, count: number): void {
  for (let row = 0; row < size; row += 1) {
    const diagonal = triangle[row * size + row] as number;
    const at = row * count;
    for (let i = at; i < at + count; i += 1) columns[i] = (columns[i] as number) * diagonal;
    const right = triangle.subarray(row * size + row + 1, (row + 1) * size);
    addWeighed(columns, count, at + count, count, right, columns, at);
  }
}

const ANGLE = 1e-6; // between rows that count as orthogonal: less than float32 can tell

/** Return the squared lengths of the rows of the projection, shape `(K,)`; null where they are not orthogonal. */
function orthogonalSquares({ matrix, nComponents, dimension }: Encoding): Float64Array | null {
  const rows = matrix as Float32Array;
  const row = (k: number) => rows.subarray(k * dimension, (k + 1) * dimension);
  const squares = Float64Array.from({ length: nComponents }, (_, k) => dot(row(k), row(k), dimension));
  for (let i = 0; i < nComponents; i += 1) {
    for (let j = 0; j < i; j += 1) {
      const product = Math.abs(dot(row(i), row(j), dimension));
      if (product > ANGLE * Math.sqrt((squares[i] as number) * (squares[j] as number))) return null;
    }
  }
  return squares;
}

/** Return the triangle U with UᵀU = the products of the rows of the projection, and `constant` below them (Cholesky). */
function triangleOf(encoding: Encoding, constant: Float64Array): Float64Array {
  const { nComponents, dimension } = encoding;
  const matrix = encoding.matrix as Float32Array;
  const size = nComponents + 1;
  const row = (k: number): ArrayLike<number> =>
    k === nComponents ? constant : matrix.subarray(k * dimension, (k + 1) * dimension);
  const upper = new Float64Array(size * size);
  for (let i = 0; i < size; i += 1) {
    for (let j = i; j < size; j += 1) {
      let sum = dot(row(i), row(j), dimension);
      for (let k = 0; k < i; k += 1) sum -= (upper[k * size + i] as number) * (upper[k * size + j] as number);
      if (i === j) upper[i * size + i] = Math.sqrt(Math.max(sum, 0));
      else {
        const pivot = upper[i * size + i] as number;
        upper[i * size + j] = pivot > 0 ? sum / pivot : 0;
      }
    }
  }
  return upper;
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>, length: number): number {
  let sum = 0;
  for (let d = 0; d < length; d += 1) sum += (a[d] as number) * (b[d] as number);
  return sum;
}
