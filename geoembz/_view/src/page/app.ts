// What the page is doing: one store, one look at it, one question.

import {
  type Engine, type LinearModel, type Metric, type Query, type Store, type Window, ViewerError,
  combine, largerIsNearer, standout, train,
} from "../core/index.js";
import { type Dated, Ranges, at } from "./ranges.js";
import { type Ground, type LonLat, groundsOf } from "./geography.js";
import { Labels } from "./labels.js";
import { ClassOverlay, type Overlay, ScoreOverlay } from "./overlays.js";
import { paintColours } from "./painting.js";
import { ramp } from "./palette.js";
import { FULL, type LevelOf, type Spot, inWords, spotsAt } from "./spots.js";
import type { Pixels } from "./tiles.js";
import { type Mark, MapView } from "./view.js";
import { classColour, css } from "./palette.js";

/** `asked` is where somebody pointed; of the levels, either the one that is drawn is meant, or full resolution. */
export interface Example { asked: LonLat; spot: Spot; isFor: boolean; isFull: boolean; vector: Float32Array }
export interface Found { ground: Ground; place: [number, number]; lonLat: LonLat; score: number }

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
  private readonly ranges: Ranges;
  private asked = 0;

  constructor(readonly store: Store, readonly engine: Engine, readonly name: string, target: HTMLElement) {
    super();
    this.grounds = groundsOf(store);
    this.ranges = new Ranges(store, (window) => this.engine.components(window, [window.component]));
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
  dated<Place extends { grid: number }>(place: Place): Dated<Place> | null {
    return at(this.store, place, this.date);
  }

  private async paintColours(window: Window, signal: AbortSignal): Promise<Pixels | null> {
    const dated = this.dated(window);
    if (dated === null) return null;
    const which = this.components;
    const ranges = await Promise.all(which.map((component) => this.ranges.of(component, this.date)));
    const { values, valid } = await this.engine.components(dated, which, signal);
    return paintColours(values, valid, ranges);
  }

  private async paintOverlay(window: Window): Promise<Pixels | null> {
    const overlay = this.overlay;
    const dated = this.dated(window);
    if (overlay === null || dated === null) return null;
    return overlay instanceof ScoreOverlay ? overlay.paint(dated, ramp(this.palette)) : overlay.paint(dated);
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

  /** The pixels that are in view at the date that is shown. */
  inView() {
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
      const from = at(this.store, window, since)?.date, to = window.date;
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
