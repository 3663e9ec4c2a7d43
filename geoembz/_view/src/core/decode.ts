/** Turn codes into components, and components into vectors (spec/format.md, "Views" and "Nodata"). */

import type { Codes, Encoding } from "./encoding.js";

const INT8_NODATA = 0x80; // -128 as an unsigned byte
const TERNARY_NODATA = 3;

/** Return codes as unsigned bytes, without a copy. */
export function asBytes(codes: Codes): Uint8Array {
  return new Uint8Array(codes.buffer, codes.byteOffset, codes.byteLength);
}

const tables = new WeakMap<Encoding, Float32Array>();

/**
 * Return the components where every stored byte is v, for all v.
 *
 * @returns shape `(K, 256)`, float32, each as decoding rounds it; of nodata, any number. Not to be changed.
 */
export function componentsOfBytes(encoding: Encoding): Float32Array {
  const known = tables.get(encoding) ?? tableOfBytes(encoding);
  tables.set(encoding, known);
  return known;
}

function tableOfBytes(encoding: Encoding): Float32Array {
  const { nComponents, quantizer, componentsPerCode } = encoding;
  const { bits } = quantizer;
  const values = new Float32Array(nComponents * 256);
  const value = valueOf(encoding);
  for (let component = 0; component < nComponents; component += 1) {
    const shift = bits < 8 ? bits * (component % componentsPerCode) : 0;
    const mask = bits < 8 ? (1 << bits) - 1 : 0xff;
    for (let byte = 0; byte < 256; byte += 1) {
      values[component * 256 + byte] = value(component, (byte >> shift) & mask);
    }
  }
  return values;
}

/** Return the function that dequantizes one unsigned code of one component. */
function valueOf(encoding: Encoding): (component: number, code: number) => number {
  const { kind, law, exponent, factor } = encoding.quantizer;
  const isSigned = kind === "int8" || kind === "power";
  const signed = (code: number): number => (isSigned && code > 127 ? code - 256 : code);
  if (law === "linear") {
    const scale = encoding.array("scale");
    const offset = encoding.array("offset");
    return (k, code) => Math.fround(signed(code) * (scale[k] ?? 0)) + (offset[k] ?? 0);
  }
  if (law === "power") {
    return (_, code) => Math.sign(signed(code)) * (Math.abs(signed(code)) / factor) ** exponent;
  }
  const codebook = encoding.array("codebook");
  if (law === "product") {
    const size = encoding.componentsPerCode;
    return (k, code) => codebook[(Math.floor(k / size) * 256 + code) * size + (k % size)] ?? 0;
  }
  const levels = { int8: 255, int4: 16, int2: 4, ternary: 3, binary: 2 }[kind as string] ?? 0;
  const first = kind === "int8" ? 127 : 0;
  const clipped = (code: number): number => Math.min(Math.max(signed(code) + first, 0), levels - 1);
  return (k, code) => codebook[k * levels + clipped(code)] ?? 0;
}

/**
 * Return which pixels hold an embedding: 1, or 0.
 *
 * @param codes shape `(L, n)`
 * @param mask of the array `valid`, shape `(n,)`; null where the store has none
 */
export function validity(encoding: Encoding, codes: Codes, n: number, mask: Uint8Array | null): Uint8Array {
  if (mask !== null) return mask;
  const valid = new Uint8Array(n).fill(1);
  const { kind } = encoding.quantizer;
  if (kind === "float16" || kind === "float32") {
    for (let p = 0; p < n; p += 1) if (Number.isNaN(codes[p])) valid[p] = 0;
  } else if (kind === "int8" || kind === "power") {
    const bytes = asBytes(codes);
    for (let p = 0; p < n; p += 1) if (bytes[p] === INT8_NODATA) valid[p] = 0;
  } else if (kind === "ternary") {
    const bytes = asBytes(codes);
    for (let p = 0; p < n; p += 1) if (((bytes[p] ?? 0) & 3) === TERNARY_NODATA) valid[p] = 0;
  }
  return valid;
}

/** Takes components out of codes; made once for an encoding, whose table of bytes it keeps. */
export class Dequantizer {
  private readonly table: Float32Array | null;

  constructor(readonly encoding: Encoding) {
    this.table = encoding.isBytes && encoding.quantizer.law !== "residual" ? componentsOfBytes(encoding) : null;
  }

  /**
   * Write component k of some pixels.
   *
   * @param codes shape `(L, n)`
   * @param out receives `stop - start` numbers, from its index `at`
   */
  write(codes: Codes, n: number, k: number, start: number, stop: number, out: Float32Array | Float64Array, at = 0): void {
    if (this.encoding.quantizer.law === "residual") {
      this.addStages(asBytes(codes), n, k, start, stop, out, at);
      return;
    }
    const row = Math.floor(k / this.encoding.componentsPerCode) * n;
    if (this.table === null) {
      for (let p = start; p < stop; p += 1) out[at + p - start] = codes[row + p] as number;
      return;
    }
    const bytes = asBytes(codes);
    const values = this.table.subarray(k * 256, k * 256 + 256);
    for (let p = start; p < stop; p += 1) out[at + p - start] = values[bytes[row + p] as number] as number;
  }

  /** Write component k of sums of codewords, each sum rounded to float32 as the stages are added. */
  private addStages(
    bytes: Uint8Array,
    n: number,
    k: number,
    start: number,
    stop: number,
    out: Float32Array | Float64Array,
    at: number,
  ): void {
    const { codeLength, nComponents } = this.encoding;
    const codebook = this.encoding.array("codebook");
    for (let p = start; p < stop; p += 1) {
      let sum = 0;
      for (let stage = 0; stage < codeLength; stage += 1) {
        const word = stage * 256 + (bytes[stage * n + p] as number);
        sum = Math.fround(sum + (codebook[word * nComponents + k] as number));
      }
      out[at + p - start] = sum;
    }
  }

  /** Return the components of one pixel, shape `(K,)`. */
  pixel(codes: Codes, n: number, p: number): Float32Array {
    const components = new Float32Array(this.encoding.nComponents);
    for (let k = 0; k < components.length; k += 1) this.write(codes, n, k, p, p + 1, components, k);
    return components;
  }
}

/** Return the original vector, shape `(D,)`, of components, shape `(K,)`. */
export function original(encoding: Encoding, components: Float32Array): Float32Array {
  const { matrix, mean, dimension } = encoding;
  if (matrix === null || mean === null) return components.slice();
  const sums = Float64Array.from(mean);
  components.forEach((z, k) => {
    for (let d = 0; d < dimension; d += 1) sums[d] = (sums[d] as number) + z * (matrix[k * dimension + d] as number);
  });
  return Float32Array.from(sums);
}

/** Return a matrix of `rows` rows times a vector, in float64. */
export function product(matrix: Float32Array | Float64Array, vector: ArrayLike<number>, rows: number): Float64Array {
  const width = vector.length;
  const sums = new Float64Array(rows);
  for (let row = 0; row < rows; row += 1) {
    let sum = 0;
    for (let d = 0; d < width; d += 1) sum += (matrix[row * width + d] as number) * (vector[d] as number);
    sums[row] = sum;
  }
  return sums;
}
