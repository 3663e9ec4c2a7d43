/** Scores of all pixels of a block, computed on its codes, as `geoembz.search` defines them. */

import type { Block } from "./blocks.js";
import type { Encoding } from "./encoding.js";
import { CodeSum, TILE_PIXELS, foldLinear } from "./fold.js";
import { Isometry } from "./isometry.js";
import { type MetricName, parseMetric } from "./metric.js";
import { type Query, checkedVector, encodedBits } from "./query.js";
import { reduceVector } from "./reduced.js";

/** Turns sums and squared lengths into scores, shape `(count,)` each; writes into `sums`. */
type Finish = (sums: Float64Array, squares: Float32Array | null, count: number) => void;

/** A query in one metric, ready for codes. */
export class Scorer {
  private readonly sum: CodeSum;
  private readonly finish: Finish;
  private readonly name: MetricName;

  /** @param lengths of the vectors that are compared, shared by all scorers of them */
  constructor(
    readonly encoding: Encoding,
    readonly query: Query,
    private readonly lengths: Lengths,
  ) {
    const asked = checkedVector(encoding, query);
    const { name, whiten } = parseMetric(query.metric)!;
    const space = lengths.encoding;
    const vector = whiten === 0 ? asked : reduceVector(encoding, asked, whiten);
    this.name = name;
    if (name === "hamming") {
      this.sum = CodeSum.differingBits(encodedBits(encoding, vector));
      this.finish = () => undefined;
    } else if (name === "dot") {
      this.sum = foldLinear(space, vector);
      this.finish = () => undefined;
    } else if (name === "cosine") {
      const length = Math.sqrt(squared(vector)) || 1;
      this.sum = foldLinear(space, vector.map((value) => value / length));
      this.finish = cosines;
    } else {
      // Around the mean, where squares cancel least.
      const centred = vector.map((value, d) => value - (space.mean?.[d] ?? 0));
      this.sum = foldLinear(space, centred.map((value) => -2 * value), 0, space.mean);
      this.finish = distances(squared(centred));
    }
  }

  /** Return the scores of a block, shape `(n,)`; NaN where a pixel is invalid. */
  scores({ codes, n, valid, memo }: Block): Float32Array {
    const scores = new Float32Array(n);
    const squares = this.lengths.squaredFor(this.name, codes, n, memo);
    const sums = new Float64Array(TILE_PIXELS);
    for (let start = 0; start < n; start += TILE_PIXELS) {
      const stop = Math.min(start + TILE_PIXELS, n);
      this.sum.write(codes, n, start, stop, sums);
      this.finish(sums, squares === null ? null : squares.subarray(start, stop), stop - start);
      scores.set(sums.subarray(0, stop - start), start);
    }
    for (let p = 0; p < n; p += 1) if (valid[p] === 0) scores[p] = Number.NaN;
    return scores;
  }
}

/** Lengths of decoded vectors, from the origin and from the mean: no query changes them, so blocks keep them. */
export class Lengths {
  private origin: Isometry | null = null;
  private centre: Isometry | null = null;

  /**
   * @param encoding of the vectors: of codes, or of the reduced space that a metric weighs
   * @param name of that space, among those of the same codes
   */
  constructor(readonly encoding: Encoding, private readonly name: string) {}

  /** Short vectors from the origin, which cosines are of. */
  get fromOrigin(): Isometry {
    this.origin ??= new Isometry(this.encoding, null);
    return this.origin;
  }

  /** Short vectors from the mean, which distances are of. */
  get fromMean(): Isometry {
    this.centre ??= new Isometry(this.encoding, this.encoding.mean);
    return this.centre;
  }

  /** Return the squared lengths that a metric needs, shape `(n,)`; null where it needs none. */
  squaredFor(metric: MetricName, codes: Block["codes"], n: number, memo: Block["memo"]): Float32Array | null {
    if (metric === "dot" || metric === "hamming") return null;
    const name = `${this.name} ${metric === "cosine" ? "from origin" : "from mean"}`;
    const isometry = metric === "cosine" ? this.fromOrigin : this.fromMean;
    const squares = memo.get(name) ?? isometry.squaredLengths(codes, n);
    memo.set(name, squares);
    return squares;
  }
}

function cosines(sums: Float64Array, squares: Float32Array | null, count: number): void {
  for (let i = 0; i < count; i += 1) {
    const square = squares?.[i] ?? 0;
    sums[i] = square > 0 ? (sums[i] as number) / Math.sqrt(square) : 0;
  }
}

function distances(queryLengthSquared: number): Finish {
  return (sums, squares, count) => {
    for (let i = 0; i < count; i += 1) {
      const square = (sums[i] as number) + (squares?.[i] ?? 0) + queryLengthSquared;
      sums[i] = Math.sqrt(Math.max(square, 0));
    }
  };
}

function squared(vector: Float64Array): number {
  return vector.reduce((sum, value) => sum + value * value, 0);
}
