/**
 * Sums over rows of numbers: the loops that take all of the time.
 *
 * Four rows go together, since each sum is then read and written once for four numbers: two to three times as fast.
 */

/**
 * Add what the bytes of some pixels stand for.
 *
 * @param bytes row r of the pixels begins at `r * stride + start`
 * @param tables shape `(rows, 256)`
 * @param out receives `count` sums, from its beginning
 */
export function addLookedUp(
  bytes: Uint8Array,
  stride: number,
  start: number,
  count: number,
  tables: Float32Array,
  out: Float64Array,
): void {
  const rows = tables.length / 256;
  let row = 0;
  for (; row + 4 <= rows; row += 4) {
    const [t0, t1, t2, t3] = [0, 256, 512, 768].map((step) => row * 256 + step) as [number, number, number, number];
    const r0 = row * stride + start;
    const [r1, r2, r3] = [r0 + stride, r0 + 2 * stride, r0 + 3 * stride];
    for (let i = 0; i < count; i += 1) {
      out[i] =
        (out[i] as number) +
        (tables[t0 + (bytes[r0 + i] as number)] as number) +
        (tables[t1 + (bytes[r1 + i] as number)] as number) +
        (tables[t2 + (bytes[r2 + i] as number)] as number) +
        (tables[t3 + (bytes[r3 + i] as number)] as number);
    }
  }
  for (; row < rows; row += 1) {
    const table = row * 256;
    const from = row * stride + start;
    for (let i = 0; i < count; i += 1) {
      out[i] = (out[i] as number) + (tables[table + (bytes[from + i] as number)] as number);
    }
  }
}

/**
 * Add rows of numbers, each times its weight.
 *
 * @param values row r of the pixels begins at `r * stride + start`
 * @param weights shape `(rows,)`
 * @param out receives `count` sums, from its index `at`; may be `values` itself, in a row of its own
 */
export function addWeighed(
  values: Float32Array | Float64Array,
  stride: number,
  start: number,
  count: number,
  weights: Float64Array,
  out: Float64Array,
  at = 0,
): void {
  let row = 0;
  for (; row + 4 <= weights.length; row += 4) {
    const [w0, w1, w2, w3] = weights.subarray(row, row + 4) as unknown as [number, number, number, number];
    const r0 = row * stride + start;
    const [r1, r2, r3] = [r0 + stride, r0 + 2 * stride, r0 + 3 * stride];
    for (let i = 0; i < count; i += 1) {
      out[at + i] =
        (out[at + i] as number) +
        w0 * (values[r0 + i] as number) +
        w1 * (values[r1 + i] as number) +
        w2 * (values[r2 + i] as number) +
        w3 * (values[r3 + i] as number);
    }
  }
  for (; row < weights.length; row += 1) {
    const weight = weights[row] as number;
    const from = row * stride + start;
    for (let i = 0; i < count; i += 1) out[at + i] = (out[at + i] as number) + weight * (values[from + i] as number);
  }
}

/**
 * Return the products of short vectors, pixel by pixel, shape `(count,)`.
 *
 * @param a shape `(length, count)`, as `b`
 */
export function rowProducts(a: Float64Array, b: Float64Array, length: number, count: number): Float64Array {
  const sums = new Float64Array(count);
  for (let k = 0; k < length; k += 1) {
    const row = k * count;
    for (let i = 0; i < count; i += 1) sums[i] = (sums[i] as number) + (a[row + i] as number) * (b[row + i] as number);
  }
  return sums;
}
