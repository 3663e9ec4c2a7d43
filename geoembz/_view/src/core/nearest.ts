/** The k nearest of many scores. */

import { type Metric, largerIsNearer } from "./metric.js";
import type { Rectangle } from "./windows.js";

/** A pixel of a level, and its score. */
export interface Place {
  readonly row: number;
  readonly col: number;
  readonly score: number;
}

/** The best places so far, nearest first; of equal ones the first in the order of rows, then columns. */
export class Best {
  private found: Place[] = [];

  constructor(
    private readonly k: number,
    private readonly metric: Metric,
  ) {}

  get places(): readonly Place[] {
    return this.found;
  }

  /** Take in the scores of a rectangle of pixels, row-major; NaN is never near. */
  takeAll(scores: Float32Array, { row, col, width }: Rectangle): void {
    const sign = largerIsNearer(this.metric) ? -1 : 1;
    let farthest = this.farthest(sign);
    for (let p = 0; p < scores.length; p += 1) {
      const score = scores[p] as number;
      if (sign * score <= farthest) {
        this.take({ row: row + Math.floor(p / width), col: col + (p % width), score });
        farthest = this.farthest(sign);
      }
    }
  }

  /** Take in one place. */
  take(place: Place): void {
    const sign = largerIsNearer(this.metric) ? -1 : 1;
    const order = (other: Place): number =>
      sign * (place.score - other.score) || place.row - other.row || place.col - other.col;
    let [low, high] = [0, this.found.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (order(this.found[middle] as Place) < 0) high = middle;
      else low = middle + 1;
    }
    this.found.splice(low, 0, place);
    if (this.found.length > this.k) this.found.pop();
  }

  private farthest(sign: number): number {
    const last = this.found.length < this.k ? undefined : this.found.at(-1);
    return last === undefined ? Number.POSITIVE_INFINITY : sign * last.score;
  }
}
