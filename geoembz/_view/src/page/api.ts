// `window.geoembz`: the page for tests and scripts (docs/reference/view.md).

import type { Metric, Traffic } from "../core/index.js";
import type { App } from "./app.js";
import type { LonLat } from "./geography.js";
import { type Value, valueAt } from "./pointer.js";
import type { Found } from "./search.js";
import { spotsAt } from "./spots.js";

export interface Question { for: LonLat[]; against?: LonLat[]; metric?: Metric; k?: number }
export type Answer = Pick<Found, "lonLat" | "score">[];

export interface GeoembzPage {
  /** Settles when the first picture is drawn, or with what is wrong. */
  ready: Promise<void>;
  /** Ask for what is like places; resolves to the nearest ones in view when the map shows it. */
  query(question: Question): Promise<Answer>;
  /** Scores of the last query at places, full resolution; NaN where there is no embedding. */
  similarityAt(lon: number | readonly number[], lat: number | readonly number[]): Promise<number[]>;
  /** The numbers at a place; null where there is no embedding. */
  valueAt(lon: number, lat: number): Promise<Value | null>;
  /** What was read of the store until now. */
  stats(): Traffic;
}

export function pageOf(opening: Promise<App>, ready: Promise<void>): GeoembzPage {
  let app: App | null = null;
  opening.then((opened) => { app = opened; }, () => undefined); // `ready` says what is wrong
  return {
    ready,
    query: async (question) => ask(await opening, question),
    similarityAt: async (lon, lat) => similarityAt(await opening, [lon].flat() as number[], [lat].flat() as number[]),
    valueAt: async (lon, lat) => valueAt(await opening, [lon, lat]),
    stats: () => app?.engine.stats() ?? { requests: 0, bytes: 0 },
  };
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
