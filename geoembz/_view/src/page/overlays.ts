// What lies over the colours: scores, changes or classes, tile by tile.
//
// Numbers of tiles are kept while what they come from stays the same: a slider paints without reading.

import { type Histogram, type Window, histogram, quantile } from "../core/index.js";
import { type Range, paintClasses, paintScores } from "./painting.js";
import { TILE, type Pixels } from "./tiles.js";

const MOST_TILES = 400; // of 256 KB each
const BINS = 128;

export type Read<Values> = (window: Window) => Promise<Values>;

/** Values of windows, from memory where they were read before. */
export class Kept<Values> {
  private readonly tiles = new Map<string, Promise<Values>>();

  constructor(private readonly read: Read<Values>) {}

  of(window: Window): Promise<Values> {
    const key = [window.grid, window.level, window.date, window.row, window.col].join();
    const kept = this.tiles.get(key);
    if (kept !== undefined) return kept;
    const values = this.read(window);
    this.tiles.set(key, values);
    values.catch(() => this.tiles.delete(key)); // whoever asked is told; the next one may have more luck
    if (this.tiles.size > MOST_TILES) this.tiles.delete(this.tiles.keys().next().value!);
    return values;
  }
}

export class ScoreOverlay {
  range: Range = { low: 0, high: 1 };
  counts: Histogram | null = null;
  /** What lies below is hidden: 0 to 1 along the palette. */
  from = 0;
  private readonly kept: Kept<Float32Array>;

  constructor(
    readonly kind: "similarity" | "change", read: Read<Float32Array>, readonly isNearSmall: boolean,
  ) {
    this.kept = new Kept(read);
  }

  /** Count the scores of what is in view; the palette spans them where it is asked to. */
  async measure(windows: readonly Window[], spansPalette: boolean): Promise<void> {
    const scores = await Promise.all(windows.flatMap(tilesOf).map((tile) => this.kept.of(tile)));
    const counts = histogram(scores, BINS);
    if (counts.n === 0) return;
    if (spansPalette) {
      const low = this.isNearSmall || this.kind === "change" ? counts.low : quantile(counts, 0.02);
      const high = this.isNearSmall || this.kind === "change" ? quantile(counts, 0.98) : counts.high;
      this.range = { low, high };
    }
    this.counts = histogram(scores, BINS, [this.range.low, this.range.high]);
  }

  async paint(window: Window, ramp: Uint8Array): Promise<Pixels> {
    const scores = await this.kept.of(window);
    return paintScores(scores, { range: this.range, from: this.from, isNearSmall: this.isNearSmall, ramp });
  }
}

export class ClassOverlay {
  readonly kind = "classes";
  private readonly kept: Kept<Uint8Array>;

  /** `colours` are the numbers of the classes that labels 0, 1, … stand for. */
  constructor(read: Read<Uint8Array>, private readonly colours: readonly number[]) {
    this.kept = new Kept(read);
  }

  async paint(window: Window): Promise<Pixels> {
    return paintClasses(await this.kept.of(window), this.colours);
  }
}

export type Overlay = ScoreOverlay | ClassOverlay;

/** The tiles that a window touches, as the map asks for them. */
function tilesOf(window: Window): Window[] {
  const tiles: Window[] = [];
  const first = (start: number) => Math.floor(start / TILE) * TILE;
  for (let row = first(window.row); row < window.row + window.height; row += TILE) {
    for (let col = first(window.col); col < window.col + window.width; col += TILE) {
      tiles.push({ ...window, row, col, height: TILE, width: TILE });
    }
  }
  return tiles;
}
