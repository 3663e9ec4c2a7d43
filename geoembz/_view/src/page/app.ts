// What the page is doing: one store, one look at it, one overlay.

import { type Engine, type LinearModel, type Store, type Traffic, type Window, standout, train } from "../core/index.js";
import { type Dated, Ranges, at } from "./ranges.js";
import { type Ground, type LonLat, groundsOf } from "./geography.js";
import { Labels } from "./labels.js";
import { type MapLayer, trafficOf } from "./maps.js";
import { ClassOverlay, type Overlay, ScoreOverlay } from "./overlays.js";
import { paintColours } from "./painting.js";
import { classColour, css, ramp } from "./palette.js";
import { Scale } from "./scale.js";
import { Search } from "./search.js";
import type { Pixels } from "./tiles.js";
import { type Mark, MapView } from "./view.js";

/** `name` is what a terminal calls the store; `mostBytes` of codes are read at once to score what is in view. */
export interface Told { name: string; mostBytes: number }

export class App extends EventTarget {
  readonly grounds: Ground[];
  readonly view: MapView;
  readonly scale: Scale;
  readonly search: Search;
  readonly labels = new Labels();
  readonly dates: readonly string[];
  readonly name: string;
  components: [number, number, number];
  date: string | null;
  since: string | null = null;
  palette = "viridis";
  opacity = 0.85;
  overlay: Overlay | null = null;
  model: LinearModel | null = null;
  /** Questions that are being answered. */
  waiting = 0;
  /** Counts questions: answers to earlier ones are not shown. */
  turn = 0;
  private readonly ranges: Ranges;

  constructor(
    readonly store: Store, readonly engine: Engine, told: Told, maps: readonly MapLayer[], target: HTMLElement,
  ) {
    super();
    this.name = told.name;
    this.grounds = groundsOf(store);
    this.ranges = new Ranges(store, (window) => this.engine.components(window, [window.component]));
    this.dates = [...new Set(store.grids.flatMap((grid) => grid.dates))].sort();
    this.date = this.dates.at(-1) ?? null;
    const last = store.encoding.nComponents - 1;
    this.components = [0, Math.min(1, last), Math.min(2, last)];
    const paints = {
      colours: (window: Window, signal: AbortSignal) => this.paintColours(window, signal),
      overlay: (window: Window) => this.paintOverlay(window),
    };
    this.view = new MapView(target, this.grounds, maps, paints, (error) => this.fail(error));
    this.scale = new Scale(this.view, told.mostBytes);
    this.search = new Search(this);
  }

  changed(): void {
    this.dispatchEvent(new Event("change"));
  }

  /** What was read of the store, and of the maps over it. */
  get traffic(): Traffic {
    const store = this.engine.stats(), maps = trafficOf(this.view.maps);
    return { requests: store.requests + maps.requests, bytes: store.bytes + maps.bytes };
  }

  fail(error: unknown): void {
    this.dispatchEvent(new CustomEvent("fail", { detail: error }));
  }

  /** Say that the page is at work until something is done. */
  async during(work: Promise<void>): Promise<void> {
    this.waiting += 1;
    this.dispatchEvent(new Event("busy"));
    try {
      await work;
    } finally {
      this.waiting -= 1;
      this.dispatchEvent(new Event("busy"));
    }
  }

  /** Begin to answer a question; what earlier ones find is not shown any more. */
  nextTurn(): number {
    return ++this.turn;
  }

  isTurn(turn: number): boolean {
    return turn === this.turn;
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
    const { query } = this.search;
    if (query !== null) this.setComponents(standout(this.store.encoding, query.vector, 3));
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

  // ---- the overlay, and how coarse it is --------------------------------------------------------

  setOverlay(overlay: Overlay | null): void {
    this.overlay = overlay;
    this.view.repaintOverlay();
    this.view.showOverlay(overlay !== null, this.opacity);
    this.limitOverlay();
  }

  /** Draw the overlay as finely as was chosen, and say how finely that is. */
  limitOverlay(): void {
    this.view.limitOverlay(this.scale.limitOf);
    this.changed();
  }

  /** Choose how finely what is in view is scored. */
  chooseScale(): void {
    this.scale.choose(this.since === null ? 1 : 2);
  }

  /** The pixels that are scored, of the date that is shown. */
  inView() {
    return this.view.windowsInView(this.scale.levelOf).flatMap((part) => {
      const window = this.dated(part.window);
      return window === null ? [] : [{ ...part, window }];
    });
  }

  /** The map was moved: score what is in view now, as finely as that may be. */
  async look(): Promise<void> {
    const { overlay } = this;
    if (overlay === null) return;
    this.chooseScale();
    if (overlay.kind === "similarity") return this.search.look();
    this.limitOverlay();
  }

  /** Score what is drawn, however much that reads. */
  refine(): Promise<void> {
    this.scale.refine();
    return this.look();
  }

  // ---- time -------------------------------------------------------------------------------------

  /** Show another date; examples are taken there, too. */
  async setDate(date: string): Promise<void> {
    this.date = date;
    this.view.repaintColours();
    this.changed();
    if (this.since !== null) return this.showChange(this.since);
    if (this.overlay?.kind === "classes") this.view.repaintOverlay();
    const examples = await this.search.examplesAnew();
    if (date === this.date && this.search.examples.length > 0) await this.search.find(examples);
  }

  /** Show how much changed from a date to the one that is shown; null ends it. */
  async showChange(since: string | null): Promise<void> {
    const turn = this.nextTurn();
    this.since = since;
    if (since === null) return this.search.find(this.search.examples);
    const read = async (window: Window) => {
      const from = at(this.store, window, since)?.date, to = window.date;
      if (from === undefined || to === undefined) return new Float32Array(window.height * window.width).fill(NaN);
      return this.engine.change(window, from, to, "cosine");
    };
    const overlay = new ScoreOverlay("change", read, false);
    this.chooseScale();
    await this.during(overlay.measure(this.inView().map(({ window }) => window), true));
    if (this.isTurn(turn)) this.setOverlay(overlay);
  }

  // ---- classes ----------------------------------------------------------------------------------

  async label(place: LonLat, className: string): Promise<void> {
    const { spot, vector } = await this.search.exampleAt(place, true, true);
    this.labels.set({ className, spot, vector, date: this.date });
    this.mark();
    this.changed();
  }

  /** Train a logistic regression on the labels, and map its classes. */
  mapClasses(): void {
    this.nextTurn();
    const { points, classes } = this.labels;
    const model = train(points.map((point) => point.vector), points.map((point) => point.className));
    const colours = model.classes.map((name) => classes.indexOf(name));
    this.model = model;
    this.since = null;
    this.chooseScale();
    this.setOverlay(new ClassOverlay(
      async (window) => (await this.engine.classes(window, model)).labels, colours,
    ));
  }

  // ---- marks ------------------------------------------------------------------------------------

  mark(): void {
    const marks: Mark[] = [
      ...this.search.best.map(({ ground, place }) => ({ ground, place, text: "", colour: "#d55e00" })),
      ...this.labels.points.map(({ spot, className }) => ({
        ...spot, text: "", colour: css(classColour(this.labels.classes.indexOf(className))),
      })),
      ...this.search.examples.map(({ spot, isFor }) => ({
        ...spot, text: isFor ? "+" : "−", colour: isFor ? "#0b5cad" : "#8a2b06",
      })),
    ];
    this.view.setMarks(marks);
  }
}
