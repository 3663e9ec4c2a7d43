// How coarsely what lies in view is scored: by the pixels that are drawn, or, where their codes would be many megabytes
// at once, by larger ones, until somebody zooms in or asks for finer ones.

import { type Level, codeBytes } from "../core/index.js";
import type { Ground } from "./geography.js";
import type { MapView } from "./view.js";

/** Codes that one map of scores may read, unless the page is told otherwise: some seconds on a slow line. */
export const MOST_BYTES = 16 * 1024 * 1024;

export class Scale {
  /** Levels from what is drawn to what is scored. */
  private coarser = 0;
  /** What was drawn when the choice was made, and when somebody asked for it to be scored as well. */
  private drawn: readonly Level[];
  private refined = "";
  private bytes = 0;

  constructor(private readonly view: MapView, private readonly mostBytes: number) {
    this.drawn = view.grounds.map((ground) => view.levelInView(ground));
  }

  /** The level that a grid is scored at, of what was in view when it was chosen; zoomed out since, the one that is drawn. */
  readonly levelOf = (ground: Ground): Level => {
    const chosen = this.limitOf(ground), drawn = this.view.levelInView(ground);
    return drawn.index > chosen.index ? drawn : chosen;
  };

  /** Nothing finer than this is scored until the next choice. */
  readonly limitOf = (ground: Ground): Level => this.finest(ground, this.coarser);

  /** The level that was drawn when the choice was made. */
  readonly drawnOf = (ground: Ground): Level => this.finest(ground, 0);

  /** Whether larger pixels are scored than are drawn. */
  get isCoarse(): boolean {
    return this.view.grounds.some((ground) => this.limitOf(ground) !== this.drawnOf(ground));
  }

  /** At most so many bytes are read to score what is drawn. */
  get bytesOfDrawn(): number {
    return this.bytes;
  }

  /** Choose for what is in view now, of so many dates. */
  choose(dates: number): void {
    this.drawn = this.view.grounds.map((ground) => this.view.levelInView(ground));
    if (this.key !== this.refined) this.refined = "";
    const most = this.refined === "" ? this.mostBytes : Infinity;
    const deepest = Math.max(...this.view.grounds.map(({ grid }) => grid.levels.length)) - 1;
    this.bytes = this.bytesAt(0) * dates;
    this.coarser = 0;
    while (this.coarser < deepest && this.bytesAt(this.coarser) * dates > most) this.coarser += 1;
  }

  /** From the next choice on score what is drawn, until other levels are. */
  refine(): void {
    this.refined = this.key;
  }

  private get key(): string {
    return this.drawn.map(({ index }) => index).join();
  }

  private finest(ground: Ground, coarser: number): Level {
    const { levels } = ground.grid;
    return levels[Math.min(this.drawn[ground.index]!.index + coarser, levels.length - 1)]!;
  }

  private bytesAt(coarser: number): number {
    const parts = this.view.windowsInView((ground) => this.finest(ground, coarser));
    return parts.reduce((sum, { level, window }) => sum + codeBytes(level, window), 0);
  }
}
