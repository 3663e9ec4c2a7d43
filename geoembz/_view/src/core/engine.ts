/** Ask things of a store's pixels: questions are cut at stored objects, answered by workers, and put together. */

import type { ChangeMetric } from "./change.js";
import { type Classes, NO_CLASS } from "./classify.js";
import type { Codes, Encoding } from "./encoding.js";
import { ViewerError } from "./errors.js";
import type { Fetch, Traffic } from "./http.js";
import { Best, type Place } from "./nearest.js";
import { Pool } from "./pool.js";
import type { Query } from "./query.js";
import type { Grid, Level } from "./grids.js";
import type { Store } from "./store.js";
import { type Answer, type Part, type StoreData, type Task, TaskRunner } from "./tasks.js";
import type { LinearModel } from "./train.js";
import { type Rectangle, intersection, paste, within } from "./windows.js";

/** Pixels of a level; those beyond its edge are invalid. */
export interface Window extends Rectangle {
  /** Index into `store.grids`. */
  readonly grid: number;
  /** Index into `grid.levels`. */
  readonly level: number;
  /** Index into `grid.dates`; the latest where it is not given. */
  readonly date?: number;
}

export interface PixelPlace {
  readonly grid: number;
  readonly level: number;
  readonly date?: number;
  readonly row: number;
  readonly col: number;
}

export interface EngineOptions {
  /** Threads; 0 for this one. */
  readonly workers?: number;
  readonly workerUrl?: string | URL;
  /** What sends requests; only where `workers` is 0. */
  readonly fetch?: Fetch;
  /** Codes kept in memory, all workers together. */
  readonly cacheBytes?: number;
}

/** Answers tasks somewhere; `key` names the stored object, whose tasks should meet in one place. */
export interface Runner {
  run(task: Task, key: string, signal?: AbortSignal): Promise<Answer>;
  readonly traffic: Traffic;
  close(): void;
}

const CACHE_BYTES = 256 * 1024 * 1024;
const MOST_WORKERS = 4;

/** Start what answers questions about a store's pixels. */
export function createEngine(store: Store, options: EngineOptions = {}): Engine {
  const cores = globalThis.navigator?.hardwareConcurrency ?? 2;
  const workers = options.workers ?? Math.min(Math.max(cores - 1, 1), MOST_WORKERS);
  const cacheBytes = options.cacheBytes ?? CACHE_BYTES;
  const data: StoreData = { url: store.url, grids: store.grids, encoding: store.encoding.state };
  if (workers === 0) return new Engine(store, new Inline(new TaskRunner(data, cacheBytes, options.fetch)));
  const url = options.workerUrl ?? new URL("worker.js", import.meta.url);
  return new Engine(store, new Pool(data, url, workers, cacheBytes / workers));
}

class Inline implements Runner {
  constructor(private readonly runner: TaskRunner) {}

  run(task: Task, _key: string, signal?: AbortSignal): Promise<Answer> {
    return this.runner.run(task, signal);
  }

  get traffic(): Traffic {
    return this.runner.traffic;
  }

  close(): void {}
}

/** Everything that is computed from pixels. Arrays have `height · width` numbers, row-major. */
export class Engine {
  private readonly encoding: Encoding;
  private readonly ids = new WeakMap<object, number>();
  private lastId = 0;

  constructor(
    private readonly store: Store,
    private readonly runner: Runner,
  ) {
    this.encoding = store.encoding;
  }

  /**
   * Return dequantized components, one array after the other, NaN where a pixel is invalid.
   *
   * @param which numbers of components, from 0
   */
  async components(
    window: Window,
    which: readonly number[],
    signal?: AbortSignal,
  ): Promise<{ values: Float32Array; valid: Uint8Array }> {
    const { nComponents } = this.encoding;
    const wrong = which.find((k) => !Number.isInteger(k) || k < 0 || k >= nComponents);
    if (wrong !== undefined) {
      throw new ViewerError("invalid-query", this.store.url, `component ${wrong}; expected 0 to ${nComponents - 1}`);
    }
    const size = window.height * window.width;
    const values = new Float32Array(which.length * size).fill(Number.NaN);
    const valid = new Uint8Array(size);
    await this.eachPart(window, signal, (part) => ({ op: "components", part, which }), (answer, part) => {
      const length = part.height * part.width;
      which.forEach((_, index) => {
        const from = (answer.values as Float32Array).subarray(index * length, (index + 1) * length);
        paste(from, part, values.subarray(index * size, (index + 1) * size), window);
      });
      paste(answer.valid as Uint8Array, part, valid, window);
    });
    return { values, valid };
  }

  /** Return the scores of a query; NaN where a pixel is invalid. */
  async scores(window: Window, query: Query, signal?: AbortSignal): Promise<Float32Array> {
    const id = this.idOf(query);
    return this.values(window, signal, (part) => ({ op: "scores", part, query, id }));
  }

  /** Return the k nearest pixels of a window, nearest first. */
  async best(window: Window, query: Query, k: number, signal?: AbortSignal): Promise<readonly Place[]> {
    const id = this.idOf(query);
    const best = new Best(k, query.metric);
    await this.eachPart(window, signal, (part) => ({ op: "best", part, query, id, k }), (answer) => {
      for (const place of answer.places ?? []) best.take(place);
    });
    return best.places;
  }

  /** Return the classes that a linear model gives. */
  async classes(window: Window, model: LinearModel, signal?: AbortSignal): Promise<Classes> {
    const id = this.idOf(model);
    const labels = new Uint8Array(window.height * window.width).fill(NO_CLASS);
    const confidence = new Float32Array(labels.length).fill(Number.NaN);
    await this.eachPart(window, signal, (part) => ({ op: "classes", part, model, id }), (answer, part) => {
      paste(answer.labels as Uint8Array, part, labels, window);
      paste(answer.values as Float32Array, part, confidence, window);
    });
    return { labels, confidence };
  }

  /**
   * Return how far pixels moved from one date to another; NaN where either is invalid.
   *
   * @param window its date does not count
   * @param from index into `grid.dates`, as `to`
   */
  async change(
    window: Window,
    from: number,
    to: number,
    metric: ChangeMetric,
    signal?: AbortSignal,
  ): Promise<Float32Array> {
    const other = this.position(this.grid(window), to);
    if (other === null) throw new ViewerError("invalid-query", this.store.url, "the store has no dates to compare");
    const make = (part: Part): Task => ({ op: "change", part, other, metric });
    return this.values({ ...window, date: from }, signal, make);
  }

  /** Return codes as stored, shape `(L, n)`, and which pixels hold an embedding. */
  async codes(window: Window, signal?: AbortSignal): Promise<{ codes: Codes; valid: Uint8Array }> {
    const size = window.height * window.width;
    const { codeLength } = this.encoding;
    const valid = new Uint8Array(size);
    let codes: Codes = new Uint8Array(codeLength * size);
    await this.eachPart(window, signal, (part) => ({ op: "codes", part }), (answer, part) => {
      const found = answer.codes as Codes;
      if (codes.constructor !== found.constructor) {
        codes = new (found.constructor as new (length: number) => Codes)(codes.length);
      }
      const length = part.height * part.width;
      for (let l = 0; l < codeLength; l += 1) {
        const row = found.subarray(l * length, (l + 1) * length);
        paste(row, part, codes.subarray(l * size, (l + 1) * size), window);
      }
      paste(answer.valid as Uint8Array, part, valid, window);
    });
    return { codes, valid };
  }

  /** Return vectors in original space, shape `(D,)`; null where there is no embedding. */
  async vectors(places: readonly PixelPlace[], signal?: AbortSignal): Promise<(Float32Array | null)[]> {
    const { dimension } = this.encoding;
    return Promise.all(
      places.map(async ({ row, col, ...where }) => {
        let vector: Float32Array | null = null;
        const window = { ...where, row, col, height: 1, width: 1 };
        await this.eachPart(window, signal, (part) => ({ op: "vectors", part, pixels: [[row, col]] }), (answer) => {
          if (answer.valid?.[0] === 1) vector = (answer.values as Float32Array).slice(0, dimension);
        });
        return vector;
      }),
    );
  }

  /** Return what was fetched since the store was opened, which is included. */
  stats(): Traffic {
    const { requests, bytes } = this.runner.traffic;
    return { requests: requests + this.store.traffic.requests, bytes: bytes + this.store.traffic.bytes };
  }

  /** End the workers. */
  close(): void {
    this.runner.close();
  }

  private async values(
    window: Window,
    signal: AbortSignal | undefined,
    make: (part: Part) => Task,
  ): Promise<Float32Array> {
    const values = new Float32Array(window.height * window.width).fill(Number.NaN);
    await this.eachPart(window, signal, make, (answer, part) => {
      paste(answer.values as Float32Array, part, values, window);
    });
    return values;
  }

  /** Put a question to the stored objects that a window touches, and use each answer. */
  private async eachPart(
    window: Window,
    signal: AbortSignal | undefined,
    make: (part: Part) => Task,
    use: (answer: Answer, part: Part) => void,
  ): Promise<void> {
    signal?.throwIfAborted();
    const grid = this.grid(window);
    const level = this.level(grid, window.level);
    const inside = intersection(window, { row: 0, col: 0, height: level.height, width: level.width });
    if (inside === null) return;
    const position = this.position(grid, window.date);
    const [height, width] = level.shard;
    await Promise.all(
      within(inside, level.shard).map(async ([row, col]) => {
        const shard = { row: row * height, col: col * width, height, width };
        const rectangle = intersection(inside, shard) as Rectangle;
        const part: Part = { grid: window.grid, level: window.level, position, ...rectangle };
        const key = [window.grid, window.level, position, row, col].join();
        use(await this.runner.run(make(part), key, signal), part);
      }),
    );
  }

  private grid({ grid }: { readonly grid: number }): Grid {
    const found = this.store.grids[grid];
    if (found !== undefined) return found;
    throw new ViewerError("invalid-query", this.store.url, `grid ${grid}; the store has ${this.store.grids.length}`);
  }

  private level(grid: Grid, level: number): Level {
    const found = grid.levels[level];
    if (found !== undefined) return found;
    throw new ViewerError("invalid-query", this.store.url, `level ${level}; the grid has ${grid.levels.length}`);
  }

  private position(grid: Grid, date: number | undefined): number | null {
    if (grid.dates.length === 0) return null;
    const found = grid.datePositions[date ?? grid.dates.length - 1];
    if (found !== undefined) return found;
    throw new ViewerError("invalid-query", this.store.url, `date ${date}; the grid has ${grid.dates.length}`);
  }

  private idOf(question: object): number {
    const id = this.ids.get(question) ?? (this.lastId += 1);
    this.ids.set(question, id);
    return id;
  }
}
