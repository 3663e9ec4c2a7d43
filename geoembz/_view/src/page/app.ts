// What the page is doing: one store, one look at it, one question.

import {
  type Engine, type LinearModel, type Metric, type Query, type Store, type Window, ViewerError,
  combine, histogram, largerIsNearer, quantile, standout, train,
} from "../core/index.js";
import { searchLine } from "./command.js";
import { type Ground, type LonLat, groundsOf } from "./geography.js";
import { Labels } from "./labels.js";
import { ClassOverlay, type Overlay, ScoreOverlay } from "./overlays.js";
import { type Range, paintColours } from "./painting.js";
import { ramp } from "./palette.js";
import { FULL, type LevelOf, type Spot, inWords, spotsAt } from "./spots.js";
import type { Pixels } from "./tiles.js";
import { type Mark, MapView } from "./view.js";
import { classColour, css } from "./palette.js";

/** `asked` is where somebody pointed; of the levels, either the one that is drawn is meant, or full resolution. */
export interface Example { asked: LonLat; spot: Spot; isFor: boolean; isFull: boolean; vector: Float32Array }
export interface Found { ground: Ground; place: [number, number]; lonLat: LonLat; score: number }

const SAMPLE = 512; // side of what the colours' ranges are taken from, in pixels

export class App extends EventTarget {
  readonly grounds: Ground[];
  readonly view: MapView;
  readonly labels = new Labels();
  readonly dates: readonly string[];
  components: [number, number, number];
  date: string | null;
  since: string | null = null;
  metric: Metric;
  k = 10;
  palette = "viridis";
  opacity = 0.85;
  examples: Example[] = [];
  query: Query | null = null;
  best: Found[] = [];
  bestLevel = 0;
  overlay: Overlay | null = null;
  model: LinearModel | null = null;
  private readonly ranges = new Map<string, Promise<Range>>();
  private asked = 0;

  constructor(readonly store: Store, readonly engine: Engine, readonly name: string, target: HTMLElement) {
    super();
    this.grounds = groundsOf(store);
    this.dates = [...new Set(store.grids.flatMap((grid) => grid.dates))].sort();
    this.date = this.dates.at(-1) ?? null;
    this.metric = store.encoding.metrics()[0]!;
    const last = store.encoding.nComponents - 1;
    this.components = [0, Math.min(1, last), Math.min(2, last)];
    const paints = {
      colours: (window: Window, signal: AbortSignal) => this.paintColours(window, signal),
      overlay: (window: Window) => this.paintOverlay(window),
    };
    this.view = new MapView(target, this.grounds, paints, (error) => this.fail(error));
  }

  changed(): void {
    this.dispatchEvent(new Event("change"));
  }

  fail(error: unknown): void {
    this.dispatchEvent(new CustomEvent("fail", { detail: error }));
  }

  // ---- painting ---------------------------------------------------------------------------------

  /** The window at the date that is shown; null where its grid has none. */
  dated<Place extends { grid: number }>(place: Place, date = this.date): (Place & { date?: number }) | null {
    if (date === null) return place;
    const position = this.store.grids[place.grid]!.dates.indexOf(date);
    return position < 0 ? null : { ...place, date: position };
  }

  private async paintColours(window: Window, signal: AbortSignal): Promise<Pixels | null> {
    const dated = this.dated(window);
    if (dated === null) return null;
    const which = this.components;
    const ranges = await Promise.all(which.map((component) => this.rangeOf(component)));
    const { values, valid } = await this.engine.components(dated, which, signal);
    return paintColours(values, valid, ranges);
  }

  private async paintOverlay(window: Window): Promise<Pixels | null> {
    const overlay = this.overlay;
    const dated = this.dated(window);
    if (overlay === null || dated === null) return null;
    return overlay instanceof ScoreOverlay ? overlay.paint(dated, ramp(this.palette)) : overlay.paint(dated);
  }

  /** What of a component is drawn from dark to bright: all but the last 2 % on either side. */
  rangeOf(component: number): Promise<Range> {
    const key = `${component} ${this.date}`;
    let range = this.ranges.get(key);
    if (range === undefined) {
      range = this.measureRange(component);
      this.ranges.set(key, range);
      range.catch(() => this.ranges.delete(key));
    }
    return range;
  }

  private async measureRange(component: number): Promise<Range> {
    const parts = await Promise.all(this.grounds.map(async (ground) => {
      const level = ground.grid.levels.at(-1)!;
      const height = Math.min(level.height, SAMPLE), width = Math.min(level.width, SAMPLE);
      const row = (level.height - height) >> 1, col = (level.width - width) >> 1;
      const window = this.dated({ grid: ground.index, level: level.index, row, col, height, width });
      if (window === null) return new Float32Array();
      const { values, valid } = await this.engine.components(window, [component]);
      return values.filter((_, pixel) => valid[pixel]);
    }));
    const counts = histogram(parts, 512);
    if (counts.n > 0) return { low: quantile(counts, 0.02), high: quantile(counts, 0.98) };
    const spread = 2 * Math.sqrt(this.store.encoding.variance[component] ?? 1);
    return { low: -spread, high: spread };
  }

  setComponents(components: readonly number[]): void {
    const [red, green, blue] = components;
    this.components = [red!, green ?? red!, blue ?? red!];
    this.view.repaintColours();
    this.changed();
  }

  showWhereExamplesStandOut(): void {
    if (this.query !== null) this.setComponents(standout(this.store.encoding, this.query.vector, 3));
  }

  /** Draw with another palette, opacity or threshold. */
  restyle(style: { palette?: string; opacity?: number; from?: number }): void {
    this.palette = style.palette ?? this.palette;
    this.opacity = style.opacity ?? this.opacity;
    if (style.from !== undefined && this.overlay instanceof ScoreOverlay) this.overlay.from = style.from;
    if (style.opacity === undefined) this.view.repaintOverlay();
    this.view.showOverlay(this.overlay !== null, this.opacity);
    this.changed();
  }

  private setOverlay(overlay: Overlay | null): void {
    this.overlay = overlay;
    this.view.repaintOverlay();
    this.view.showOverlay(overlay !== null, this.opacity);
    this.changed();
  }

  // ---- what is like an example ------------------------------------------------------------------

  private levelOf(isFull: boolean): LevelOf {
    return isFull ? FULL : (ground) => this.view.levelInView(ground);
  }

  /** The vector at a place, of the first grid that has one there; null where there is none. */
  private async vectorAt(asked: LonLat, isFull: boolean): Promise<{ spot: Spot; vector: Float32Array } | null> {
    for (const spot of spotsAt(this.grounds, asked, this.levelOf(isFull))) {
      const pixel = this.dated({ grid: spot.ground.index, level: spot.level, row: spot.row, col: spot.col });
      const [vector] = pixel === null ? [null] : await this.engine.vectors([pixel]);
      if (vector) return { spot, vector };
    }
    return null;
  }

  /** An example at a place. */
  async exampleAt(asked: LonLat, isFor: boolean, isFull: boolean): Promise<Example> {
    const found = await this.vectorAt(asked, isFull);
    if (found !== null) return { asked, isFor, isFull, ...found };
    throw new ViewerError(
      "invalid-query", this.store.url,
      `There is no embedding at ${inWords(asked)}; choose a place that is drawn.`,
    );
  }

  /** Take the examples again: another date or level is shown. Those that are not there any more go. */
  private async examplesAnew(): Promise<Example[]> {
    const found = await Promise.all(this.examples.map((example) => this.vectorAt(example.asked, example.isFull)));
    return this.examples.flatMap((example, i) => (found[i] ? [{ ...example, ...found[i] }] : []));
  }

  /** The map was moved: find the nearest of what is in view now. */
  async look(): Promise<void> {
    if (this.overlay?.kind !== "similarity") return;
    const isOld = ({ spot, isFull }: Example) => spot.level !== this.levelOf(isFull)(spot.ground).index;
    if (!this.examples.some(isOld)) return this.findBest();
    const { asked, overlay: { from } } = this;
    const examples = await this.examplesAnew();
    if (asked === this.asked) await this.find(examples, from);
  }

  /** Take a place as an example: for, against, or as the only one. */
  async addExample(place: LonLat, role: "new" | "for" | "against"): Promise<void> {
    const example = await this.exampleAt(place, role !== "against", false);
    const others = role === "new" ? [] : this.examples;
    if (!example.isFor && !others.some((other) => other.isFor)) {
      throw new ViewerError("invalid-query", this.store.url, "First choose a place whose like is to be found.");
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
    const asked = ++this.asked;
    this.examples = [...examples];
    this.mark();
    if (!examples.some((example) => example.isFor)) {
      this.examples = [];
      this.query = null;
      this.best = [];
      this.mark();
      this.setOverlay(null);
      return;
    }
    const vectors = (isFor: boolean) => examples.filter((e) => e.isFor === isFor).map((e) => e.vector);
    const query = combine(this.metric, { for: vectors(true), against: vectors(false) });
    const isNearSmall = !largerIsNearer(query.metric);
    const overlay = new ScoreOverlay("similarity", (window) => this.engine.scores(window, query), isNearSmall);
    overlay.from = from;
    this.query = query;
    this.changed();
    await overlay.measure(this.inView().map(({ window }) => window), true);
    if (asked !== this.asked) return;
    this.setOverlay(overlay);
    await this.findBest();
  }

  private inView() {
    return this.view.windowsInView().flatMap((part) => {
      const window = this.dated(part.window);
      return window === null ? [] : [{ ...part, window }];
    });
  }

  /** Find the nearest places of what is in view. */
  async findBest(): Promise<void> {
    const { asked, query, overlay } = this;
    if (query === null) return;
    const parts = this.inView();
    const found = await Promise.all(parts.map(async ({ ground, level, window }) => {
      const places = await this.engine.best(window, query, this.k);
      return places.map(({ row, col, score }) => {
        const place = ground.centre(level, row, col);
        return { ground, place, lonLat: ground.toLonLat(place), score };
      });
    }));
    if (overlay instanceof ScoreOverlay) await overlay.measure(parts.map(({ window }) => window), false);
    if (asked !== this.asked) return;
    const sign = largerIsNearer(query.metric) ? -1 : 1;
    this.best = found.flat().sort((a, b) => sign * (a.score - b.score)).slice(0, this.k);
    this.bestLevel = Math.max(0, ...parts.map(({ level }) => level.index));
    this.mark();
    this.changed();
  }

  /** The command that finds the same; null while nothing is asked. */
  command(): string | null {
    if (this.query === null) return null;
    const parts = this.inView();
    const only = this.grounds.length === 1 ? this.grounds[0]! : null;
    const crs = only === null || only.isGeographic ? null : only.grid.crs.code;
    const inCrs = only !== null && (crs !== null || only.isGeographic);
    const points = (isFor: boolean) => this.examples.filter((example) => example.isFor === isFor)
      .map(({ spot }) => (inCrs ? spot.place : spot.lonLat));
    const isWhole = parts.length === this.grounds.length && parts.every((part) => part.isWhole);
    return searchLine({
      store: this.name,
      for: points(true),
      against: points(false),
      crs,
      pixel: inCrs ? Math.abs(only!.grid.levels[0]!.transform[0]) : 1e-5,
      k: this.k,
      metric: this.query.metric,
      time: this.date,
      level: this.examples.some(({ isFull }) => isFull) ? 0 : this.bestLevel,
      box: isWhole || only === null ? null : boxOf(parts[0]!),
    });
  }

  // ---- time -------------------------------------------------------------------------------------

  /** Show another date; examples are taken there, too. */
  async setDate(date: string): Promise<void> {
    this.date = date;
    this.view.repaintColours();
    this.changed();
    if (this.since !== null) return this.showChange(this.since);
    if (this.overlay?.kind === "classes") this.view.repaintOverlay();
    const examples = await this.examplesAnew();
    if (date === this.date && this.examples.length > 0) await this.find(examples);
  }

  /** Show how much changed from a date to the one that is shown; null ends it. */
  async showChange(since: string | null): Promise<void> {
    const asked = ++this.asked;
    this.since = since;
    if (since === null) return this.find(this.examples);
    const read = async (window: Window) => {
      const from = this.dated(window, since)?.date, to = window.date;
      if (from === undefined || to === undefined) return new Float32Array(window.height * window.width).fill(NaN);
      return this.engine.change(window, from, to, "cosine");
    };
    const overlay = new ScoreOverlay("change", read, false);
    await overlay.measure(this.inView().map(({ window }) => window), true);
    if (asked === this.asked) this.setOverlay(overlay);
  }

  // ---- classes ----------------------------------------------------------------------------------

  async label(place: LonLat, className: string): Promise<void> {
    const { spot, vector } = await this.exampleAt(place, true, true);
    this.labels.set({ className, spot, vector, date: this.date });
    this.mark();
    this.changed();
  }

  /** Train a logistic regression on the labels, and map its classes. */
  mapClasses(): void {
    ++this.asked;
    const { points, classes } = this.labels;
    const model = train(points.map((point) => point.vector), points.map((point) => point.className));
    const colours = model.classes.map((name) => classes.indexOf(name));
    this.model = model;
    this.since = null;
    this.setOverlay(new ClassOverlay(
      async (window) => (await this.engine.classes(window, model)).labels, colours,
    ));
  }

  // ---- marks ------------------------------------------------------------------------------------

  mark(): void {
    const marks: Mark[] = [
      ...this.best.map(({ ground, place }) => ({ ground, place, text: "", colour: "#d55e00" })),
      ...this.labels.points.map(({ spot, className }) => ({
        ...spot, text: "", colour: css(classColour(this.labels.classes.indexOf(className))),
      })),
      ...this.examples.map(({ spot, isFor }) => ({
        ...spot, text: isFor ? "+" : "−", colour: isFor ? "#0b5cad" : "#8a2b06",
      })),
    ];
    this.view.setMarks(marks);
  }
}

/** The box whose pixels are a window's: a little less, since a box takes all that it touches. */
function boxOf({ ground, level, window }: { ground: Ground; level: { index: number; transform: readonly number[] }; window: Window }): [number, number, number, number] {
  const finest = ground.grid.levels[level.index]!;
  const [a, , c, , e, f] = finest.transform;
  const west = c + a * (window.col + 0.25), east = c + a * (window.col + window.width - 0.25);
  const north = f + e * (window.row + 0.25), south = f + e * (window.row + window.height - 0.25);
  return [west, Math.min(south, north), east, Math.max(south, north)];
}
