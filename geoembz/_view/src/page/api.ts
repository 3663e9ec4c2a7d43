// `window.geoembz`: the page for tests and scripts (docs/reference/view.md).

import type { Metric, Traffic } from "../core/index.js";
import type { App } from "./app.js";
import { type MapLayer, trafficOf } from "./maps.js";
import type { LonLat } from "./geography.js";
import { type Value, valueAt } from "./pointer.js";
import type { Found } from "./search.js";
import { spotsAt } from "./spots.js";

export interface Question { for: LonLat[]; against?: LonLat[]; metric?: Metric; k?: number }
export type Answer = Pick<Found, "lonLat" | "score">[];

export interface MapAnswer { map: string; kind: string; values: Record<string, number | null>; class: string | null }

/** What the page shows: a store with maps over it, or maps alone. */
export interface Shown { app: App | null; maps: readonly MapLayer[] }

export interface GeoembzPage {
  /** Settles when the first picture is drawn, or with what is wrong. */
  ready: Promise<void>;
  /** Ask for what is like places; resolves to the nearest ones in view when the map shows it. */
  query(question: Question): Promise<Answer>;
  /** Scores of the last query at places, full resolution; NaN where there is no embedding. */
  similarityAt(lon: number | readonly number[], lat: number | readonly number[]): Promise<number[]>;
  /** The numbers at a place; null where there is no embedding. */
  valueAt(lon: number, lat: number): Promise<Value | null>;
  /** What each map holds at a place, the first on top: a value of each band, null where there is none. */
  mapsAt(lon: number, lat: number): Promise<MapAnswer[]>;
  /** What was read until now. */
  stats(): Traffic;
}

export function pageOf(opening: Promise<Shown>, ready: Promise<void>): GeoembzPage {
  let shown: Shown = { app: null, maps: [] };
  opening.then((opened) => { shown = opened; }, () => undefined); // `ready` says what is wrong
  return {
    ready,
    query: async (question) => ask(storeOf(await opening), question),
    similarityAt: async (lon, lat) => similarityAt(storeOf(await opening), [lon].flat() as number[], [lat].flat() as number[]),
    valueAt: async (lon, lat) => valueAt(storeOf(await opening), [lon, lat]),
    mapsAt: async (lon, lat) => Promise.all((await opening).maps.map((map) => mapAt(map, [lon, lat]))),
    stats: () => shown.app?.traffic ?? trafficOf(shown.maps),
  };
}

function storeOf({ app }: Shown): App {
  if (app === null) throw new Error("geoembz: this page shows maps alone; open the store that they were made of as well");
  return app;
}

async function mapAt(layer: MapLayer, place: LonLat): Promise<MapAnswer> {
  const { name, map } = layer;
  const found = await layer.at(place, map.bands.map((_, band) => band));
  const value = (band: number) => (found === null || Number.isNaN(found.values[band]) ? null : found.values[band]!);
  const values = Object.fromEntries(map.bands.map((band, index) => [band.name, value(index)]));
  return { map: name, kind: map.kind, values, class: found?.class?.name ?? null };
}

async function ask(app: App, question: Question): Promise<Answer> {
  const { search } = app;
  search.metric = question.metric ?? search.metric;
  search.k = question.k ?? search.k;
  const found = (places: readonly LonLat[], isFor: boolean) =>
    places.map((place) => search.exampleAt(place, isFor, true));
  await search.find(await Promise.all([...found(question.for, true), ...found(question.against ?? [], false)]));
  await app.view.drawn();
  return search.best.map(({ lonLat, score }) => ({ lonLat, score }));
}

async function similarityAt(app: App, lon: readonly number[], lat: readonly number[]): Promise<number[]> {
  const { query } = app.search;
  if (query === null) throw new Error("geoembz.similarityAt: there is no query yet; call geoembz.query first");
  return Promise.all(lon.map(async (longitude, i) => {
    for (const { ground, row, col } of spotsAt(app.grounds, [longitude, lat[i]!])) {
      const window = app.dated({ grid: ground.index, level: 0, row, col, height: 1, width: 1 });
      const score = window === null ? NaN : (await app.engine.scores(window, query))[0]!;
      if (!Number.isNaN(score)) return score;
    }
    return NaN;
  }));
}
