// What of each component is drawn from dark to bright, at each date.

import { type Store, type Window, histogram, quantile } from "../core/index.js";
import type { Range } from "./painting.js";

const SAMPLE = 512; // side of what a range is taken from, in pixels

export type Dated<Place> = Place & { date?: number };
export type ReadComponent = (window: Dated<Window> & { component: number }) => Promise<{ values: Float32Array; valid: Uint8Array }>;

/** A place at a date; null where its grid has none of it. */
export function at<Place extends { grid: number }>(store: Store, place: Place, date: string | null): Dated<Place> | null {
  if (date === null) return place;
  const position = store.grids[place.grid]!.dates.indexOf(date);
  return position < 0 ? null : { ...place, date: position };
}

export class Ranges {
  private readonly known = new Map<string, Promise<Range>>();

  constructor(private readonly store: Store, private readonly read: ReadComponent) {}

  /** All but the last 2 % of a component on either side, of the middle of each grid's coarsest level. */
  of(component: number, date: string | null): Promise<Range> {
    const key = `${component} ${date}`;
    let range = this.known.get(key);
    if (range === undefined) {
      range = this.measure(component, date);
      this.known.set(key, range);
      range.catch(() => this.known.delete(key));
    }
    return range;
  }

  private async measure(component: number, date: string | null): Promise<Range> {
    const parts = await Promise.all(this.store.grids.map(async ({ levels }, grid) => {
      const level = levels.at(-1)!;
      const height = Math.min(level.height, SAMPLE), width = Math.min(level.width, SAMPLE);
      const row = (level.height - height) >> 1, col = (level.width - width) >> 1;
      const window = at(this.store, { grid, level: level.index, row, col, height, width, component }, date);
      if (window === null) return new Float32Array();
      const { values, valid } = await this.read(window);
      return values.filter((_, pixel) => valid[pixel]);
    }));
    const counts = histogram(parts, 512);
    if (counts.n > 0) return { low: quantile(counts, 0.02), high: quantile(counts, 0.98) };
    const spread = 2 * Math.sqrt(this.store.encoding.variance[component] ?? 1);
    return { low: -spread, high: spread };
  }
}
