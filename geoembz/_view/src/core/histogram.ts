/** How scores are spread, for thresholds and for colours. */

export interface Histogram {
  /** Edges of the first and of the last bin; scores beyond count there. */
  readonly low: number;
  readonly high: number;
  readonly counts: Uint32Array;
  /** Scores counted, NaN left out. */
  readonly n: number;
}

/**
 * Count scores.
 *
 * @param scores one array, or several that are counted together; NaN is left out
 * @param range of the bins; that of the scores where it is not given
 */
export function histogram(
  scores: Float32Array | readonly Float32Array[],
  bins = 256,
  range?: readonly [number, number],
): Histogram {
  const arrays = scores instanceof Float32Array ? [scores] : scores;
  const [low, high] = range ?? extremes(arrays);
  const counts = new Uint32Array(bins);
  const perUnit = high > low ? bins / (high - low) : 0;
  let n = 0;
  for (const array of arrays) {
    for (const score of array) {
      if (Number.isNaN(score)) continue;
      const bin = Math.min(Math.max(Math.floor((score - low) * perUnit), 0), bins - 1);
      counts[bin] = (counts[bin] as number) + 1;
      n += 1;
    }
  }
  return { low, high, counts, n };
}

/** Return the score below which a share (0 to 1) of the scores lies, by steps within a bin; NaN of no scores. */
export function quantile({ low, high, counts, n }: Histogram, share: number): number {
  if (n === 0) return Number.NaN;
  const width = (high - low) / counts.length;
  const wanted = share * n;
  let below = 0;
  for (let bin = 0; bin < counts.length; bin += 1) {
    const count = counts[bin] as number;
    if (count > 0 && below + count >= wanted) return low + width * (bin + (wanted - below) / count);
    below += count;
  }
  return high;
}

function extremes(arrays: readonly Float32Array[]): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const array of arrays) {
    for (const score of array) {
      if (score < low) low = score;
      if (score > high) high = score;
    }
  }
  return low <= high ? [low, high] : [0, 0];
}
