/** Maps that `geoembz map` made (spec/map.md): what they say of themselves, and their values by windows. */

import type { Array as ZarrArray, AsyncReadable } from "zarrita";
import { type ArrayDocument, explained, openArray } from "./arrays.js";
import { CoalescedSource } from "./coalesce.js";
import { registerCodecs } from "./codecs.js";
import { ViewerError } from "./errors.js";
import { type Affine, type Documents, type Raster, type Resolution, arrayDocument, cornersOf, inside, lastTwo, readCrs } from "./grids.js";
import { type Fetch, HttpSource, type Traffic } from "./http.js";
import type { Json } from "./json.js";
import { MAP_ATTRIBUTE, absolute, consolidated, readRoot } from "./store.js";
import { type Rectangle, paste, within } from "./windows.js";

/** Decoded chunks that are kept. */
const MOST_BYTES = 96 * 1024 * 1024;

export interface MapBand {
  readonly name: string;
  /** Values that a picture shows darkest and brightest. */
  readonly low: number;
  readonly high: number;
}

export interface MapClass {
  readonly value: number;
  readonly name: string;
  readonly colour: readonly [number, number, number];
  /** How many hold it. */
  readonly pixels: number;
}

export interface MapStore {
  /** Without a slash at the end. */
  readonly url: string;
  /** `similarity`, `classes`, `change` … */
  readonly kind: string;
  readonly bands: readonly MapBand[];
  /** Of a map of one band whose values are classes. */
  readonly classes: readonly MapClass[];
  /** Bands of a first picture, from 0: one, or three as red, green and blue. */
  readonly shown: readonly number[];
  /** Stored numbers times this are values. */
  readonly scale: number;
  /** Stored number of pixels without a value; NaN where floats say it. */
  readonly nodata: number;
  readonly validPixels: number;
  readonly raster: Raster;
  /** Arrays of the resolutions, full resolution first. */
  readonly arrays: readonly ArrayDocument[];
}

/**
 * Open a map.
 *
 * @param url of the folder that holds its root `zarr.json`
 * @throws ViewerError where there is no map
 */
export async function openMap(url: string, options: { readonly fetch?: Fetch } = {}): Promise<MapStore> {
  registerCodecs();
  const source = new HttpSource(absolute(url), options.fetch);
  const root = await readRoot(source, undefined);
  const attributes = root.at("attributes");
  const about = attributes.at(MAP_ATTRIBUTE);
  if (!about.exists) {
    throw new ViewerError("not-a-store", source.url, "this is no map: `geoembz map` makes those that this page shows.");
  }
  const documents = consolidated(root);
  const scale = about.at("scale").number();
  const bands = readBands(about, scale);
  const levels = readLevels(attributes);
  const arrays = levels.map(({ folder }) => arrayDocument(documents, inside(folder, "map")));
  arrays.forEach((array, index) => checkShape(documents, array, bands.length, levels[index]!.level));
  return {
    url: source.url,
    kind: about.at("kind").text(),
    bands,
    classes: readClasses(about),
    shown: readShown(about, bands.length),
    scale,
    nodata: about.at("nodata").value === "NaN" ? Number.NaN : about.at("nodata").number(),
    validPixels: about.at("figures").at("valid_pixels").integer(0),
    raster: { name: "", crs: readCrs(attributes), levels: levels.map(({ level }) => level) },
    arrays,
  };
}

function readBands(about: Json, scale: number): MapBand[] {
  const stretches = about.at("stretch");
  return about.at("bands").list().map((name, index) => {
    const stretch = stretches.at(index);
    const [low = 0, high = 1] = stretch.exists ? stretch.numbers(2) : [];
    return { name: name.text(), low: low * scale, high: high * scale };
  });
}

function readClasses(about: Json): MapClass[] {
  const counts = about.at("figures").at("counts");
  const known = new Map(counts.exists ? counts.list().map((pair) => pair.numbers(2) as [number, number]) : []);
  return about.at("classes").list().map((each) => {
    const value = each.at("value").integer(0, 255);
    const code = /^#([0-9a-f]{6})$/.exec(each.at("colour").text())?.[1] ?? "808080";
    const parts = [0, 2, 4].map((at) => Number.parseInt(code.slice(at, at + 2), 16));
    return { value, name: each.at("name").text(), colour: parts as [number, number, number], pixels: known.get(value) ?? 0 };
  });
}

function readShown(about: Json, count: number): number[] {
  const listed = about.at("shown");
  const shown = listed.exists ? listed.list().map((band) => band.integer(1, count) - 1) : [0];
  return shown.length === 3 ? shown : shown.slice(0, 1);
}

/** Levels that a GeoTIFF has, whose overviews `geoembz view` serves; a Zarr map has the full resolution alone. */
function readLevels(attributes: Json): { folder: string; level: Resolution }[] {
  const full = attributes.at("spatial:transform").numbers(6);
  const multiscales = attributes.at("multiscales");
  const coarser = multiscales.exists ? multiscales.at("layout").list().slice(1) : [];
  return [
    { folder: "", level: resolution(0, 1, full, attributes.at("spatial:shape").numbers(2)) },
    ...coarser.map((entry, index) => ({
      folder: entry.at("asset").text(),
      level: resolution(index + 1, entry.at("transform").at("scale").at(0).number(), full, entry.at("spatial:shape").numbers(2)),
    })),
  ];
}

function resolution(index: number, factor: number, full: readonly number[], shape: readonly number[]): Resolution {
  const [a = 1, b = 0, c = 0, d = 0, e = -1, f = 0] = full;
  const [height = 0, width = 0] = shape;
  const transform: Affine = [a * factor, b * factor, c, d * factor, e * factor, f];
  return { index, factor, width, height, transform, bbox: cornersOf(transform, height, width) };
}

function checkShape(documents: Documents, array: ArrayDocument, bands: number, level: Resolution): void {
  const expected = [bands, level.height, level.width];
  if (array.shape.join() !== expected.join()) {
    const { url } = documents("");
    const what = `its array has the shape ${array.shape.join(" x ")}; its place and bands say ${expected.join(" x ")}`;
    throw new ViewerError("damaged", url, `${what}. The map is damaged; make it again.`);
  }
}

/** Reads the values of a map; chunks are kept while there is room. */
export class MapReader {
  private readonly http: HttpSource;
  private readonly arrays: readonly ZarrArray<"float32", AsyncReadable>[];
  private readonly chunks = new Map<string, Promise<Float32Array>>();
  private readonly mostChunks: number;

  constructor(readonly map: MapStore, fetcher?: Fetch) {
    this.http = new HttpSource(map.url, fetcher);
    const source = new CoalescedSource(this.http);
    this.arrays = map.arrays.map((array) => openArray(source, array));
    const largest = Math.max(...map.arrays.map((array) => product(lastTwo(array.chunkShape))));
    this.mostChunks = Math.max(Math.floor(MOST_BYTES / (4 * largest)), 1);
  }

  /** What it has fetched. */
  get traffic(): Traffic {
    return { ...this.http.traffic };
  }

  /**
   * Return the values of a window, row by row; NaN where there is none.
   *
   * @param level index into `map.raster.levels`
   */
  async values(level: number, band: number, window: Rectangle): Promise<Float32Array> {
    const values = new Float32Array(window.height * window.width).fill(Number.NaN);
    const { width, height } = this.map.raster.levels[level]!;
    const [rows, cols] = lastTwo(this.map.arrays[level]!.chunkShape);
    const held = {
      row: window.row, col: window.col,
      height: Math.min(window.height, height - window.row), width: Math.min(window.width, width - window.col),
    };
    if (held.height <= 0 || held.width <= 0) return values;
    await Promise.all(within(held, [rows, cols]).map(async ([row, col]) => {
      const chunk = await this.chunk(level, band, row, col);
      paste(chunk, { row: row * rows, col: col * cols, height: rows, width: cols }, values, window);
    }));
    return values;
  }

  private chunk(level: number, band: number, row: number, col: number): Promise<Float32Array> {
    const key = [level, band, row, col].join();
    const kept = this.chunks.get(key) ?? this.fetch(level, band, row, col);
    this.chunks.delete(key); // behind all others: it is the latest used
    this.chunks.set(key, kept);
    kept.catch(() => this.chunks.delete(key));
    if (this.chunks.size > this.mostChunks) this.chunks.delete(this.chunks.keys().next().value!);
    return kept;
  }

  private async fetch(level: number, band: number, row: number, col: number): Promise<Float32Array> {
    const { path } = this.map.arrays[level]!;
    const { data } = await explained(path, () => this.arrays[level]!.getChunk([band, row, col]));
    const { nodata, scale } = this.map;
    return Float32Array.from(data as Float32Array, (number) => (number === nodata ? Number.NaN : number * scale));
  }
}

function product([rows, cols]: readonly [number, number]): number {
  return rows * cols;
}
