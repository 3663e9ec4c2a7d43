// What is like some places and unlike others: examples, the map of scores, the nearest places.

import { type Metric, type Query, ViewerError, combine, largerIsNearer, metricsFor } from "../core/index.js";
import type { App } from "./app.js";
import type { Ground, LonLat } from "./geography.js";
import { ScoreOverlay } from "./overlays.js";
import { FULL, type LevelOf, type Spot, inWords, spotsAt } from "./spots.js";

/** `asked` is where somebody pointed; of the levels, either the one that is scored is meant, or full resolution. */
export interface Example { asked: LonLat; spot: Spot; isFor: boolean; isFull: boolean; vector: Float32Array }
export interface Found { ground: Ground; place: [number, number]; lonLat: LonLat; score: number }

export class Search {
  /** Those that can be chosen, the store's own first. */
  readonly metrics: readonly Metric[];
  metric: Metric;
  k = 10;
  examples: Example[] = [];
  query: Query | null = null;
  best: Found[] = [];
  bestLevel = 0;

  constructor(private readonly app: App) {
    this.metrics = metricsFor(app.store.encoding, app.store.attributes["geoembz:metric"]);
    this.metric = this.metrics[0]!;
  }

  private levelOf(isFull: boolean): LevelOf {
    return isFull ? FULL : this.app.scale.levelOf;
  }

  /** The vector at a place, of the first grid that has one there; null where there is none. */
  private async vectorAt(asked: LonLat, isFull: boolean): Promise<{ spot: Spot; vector: Float32Array } | null> {
    for (const spot of spotsAt(this.app.grounds, asked, this.levelOf(isFull))) {
      const pixel = this.app.dated({ grid: spot.ground.index, level: spot.level, row: spot.row, col: spot.col });
      const [vector] = pixel === null ? [null] : await this.app.engine.vectors([pixel]);
      if (vector) return { spot, vector };
    }
    return null;
  }

  /** An example at a place. */
  async exampleAt(asked: LonLat, isFor: boolean, isFull: boolean): Promise<Example> {
    const found = await this.vectorAt(asked, isFull);
    if (found !== null) return { asked, isFor, isFull, ...found };
    throw new ViewerError(
      "invalid-query", this.app.store.url,
      `There is no embedding at ${inWords(asked)}; choose a place that is drawn.`,
    );
  }

  /** The examples taken again: another date or level is shown. Those that are not there any more go. */
  async examplesAnew(): Promise<Example[]> {
    const found = await Promise.all(this.examples.map((example) => this.vectorAt(example.asked, example.isFull)));
    return this.examples.flatMap((example, i) => (found[i] ? [{ ...example, ...found[i] }] : []));
  }

  /** Take a place as an example: for, against, or as the only one. */
  async addExample(place: LonLat, role: "new" | "for" | "against"): Promise<void> {
    this.app.chooseScale();
    const example = await this.exampleAt(place, role !== "against", false);
    const others = role === "new" ? [] : this.examples;
    if (!example.isFor && !others.some((other) => other.isFor)) {
      throw new ViewerError("invalid-query", this.app.store.url, "First choose a place whose like is to be found.");
    }
    await this.find([...others, example]);
  }

  removeExample(example: Example): Promise<void> {
    return this.find(this.examples.filter((other) => other !== example));
  }

  setMetric(metric: Metric): Promise<void> {
    this.metric = metric;
    return this.find(this.examples);
  }

  /** Ask for what is like some examples and unlike others. */
  async find(examples: readonly Example[], from = 0): Promise<void> {
    const { app } = this;
    const turn = app.nextTurn();
    this.examples = [...examples];
    app.mark();
    if (!examples.some((example) => example.isFor)) return this.clear();
    const vectors = (isFor: boolean) => examples.filter((e) => e.isFor === isFor).map((e) => e.vector);
    const query = combine(this.metric, { for: vectors(true), against: vectors(false) });
    const isNearSmall = !largerIsNearer(query.metric);
    const overlay = new ScoreOverlay("similarity", (window) => app.engine.scores(window, query), isNearSmall);
    overlay.from = from;
    this.query = query;
    app.changed();
    app.chooseScale();
    await app.during(overlay.measure(app.inView().map(({ window }) => window), true));
    if (!app.isTurn(turn)) return;
    app.setOverlay(overlay);
    await this.findBest();
  }

  private clear(): void {
    this.examples = [];
    this.query = null;
    this.best = [];
    this.app.mark();
    this.app.setOverlay(null);
  }

  /** The map was moved: find the nearest of what is in view now. */
  async look(): Promise<void> {
    const { app } = this;
    const { turn, overlay } = app;
    const isOld = ({ spot, isFull }: Example) => spot.level !== this.levelOf(isFull)(spot.ground).index;
    if (!this.examples.some(isOld)) {
      app.limitOverlay();
      return this.findBest();
    }
    const examples = await this.examplesAnew();
    if (app.isTurn(turn) && overlay instanceof ScoreOverlay) await this.find(examples, overlay.from);
  }

  /** Find the nearest places of what is in view. */
  async findBest(): Promise<void> {
    const { app, query } = this;
    const { turn, overlay, engine } = app;
    if (query === null) return;
    const parts = app.inView();
    const found = await Promise.all(parts.map(async ({ ground, level, window }) => {
      const places = await engine.best(window, query, this.k);
      return places.map(({ row, col, score }) => {
        const place = ground.centre(level, row, col);
        return { ground, place, lonLat: ground.toLonLat(place), score };
      });
    }));
    if (overlay instanceof ScoreOverlay) await overlay.measure(parts.map(({ window }) => window), false);
    if (!app.isTurn(turn)) return;
    const sign = largerIsNearer(query.metric) ? -1 : 1;
    this.best = found.flat().sort((a, b) => sign * (a.score - b.score)).slice(0, this.k);
    this.bestLevel = Math.max(0, ...parts.map(({ level }) => level.index));
    app.mark();
    app.changed();
  }
}
