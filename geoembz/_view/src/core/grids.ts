/** What the documents of a store say of its grids: places, dates, levels, and where their numbers are. */

import type { AbsolutePath } from "zarrita";
import { type ArrayDocument, codesDocument, readArrayDocument } from "./arrays.js";
import type { Encoding } from "./encoding.js";
import { ViewerError } from "./errors.js";
import type { Json } from "./json.js";

export type Affine = readonly [number, number, number, number, number, number];

/** Where the pixels of one resolution lie. */
export interface Resolution {
  readonly index: number;
  /** 1 for full resolution, 2 for half of it … */
  readonly factor: number;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** `[a, b, c, d, e, f]`: x = a·col + b·row + c and y = d·col + e·row + f of pixel corners, in CRS units. */
  readonly transform: Affine;
  /** `[xmin, ymin, xmax, ymax]` of all pixel corners. */
  readonly bbox: readonly [number, number, number, number];
}

/** One resolution of a grid of codes. */
export interface Level extends Resolution {
  /** Rows and columns of what is compressed in one piece. */
  readonly chunk: readonly [number, number];
  /** Rows and columns of a stored object. */
  readonly shard: readonly [number, number];
  readonly arrays: LevelArrays;
}

/** Where the numbers of a level are. */
export interface LevelArrays {
  readonly embedding: ArrayDocument;
  readonly valid: ArrayDocument | null;
  /** Digests of the shards of the two; null before format 0.2. */
  readonly embeddingDigests: ArrayDocument | null;
  readonly validDigests: ArrayDocument | null;
}

/** Anything with pixels: a CRS, and where they lie at each resolution. */
export interface Raster {
  /** "" where there is no other. */
  readonly name: string;
  readonly crs: { readonly code: string | null; readonly wkt2: string };
  /** Full resolution first. */
  readonly levels: readonly Resolution[];
}

/** One raster of a store: with dates, and with codes at each level. */
export interface Grid extends Raster {
  /** "YYYY-MM-DD" in the order of time; empty without a time axis. */
  readonly dates: readonly string[];
  /** Position of each of `dates` on the stored axis. */
  readonly datePositions: readonly number[];
  readonly bandNames: readonly (string | null)[] | null;
  /** Full resolution first. */
  readonly levels: readonly Level[];
}

/** Documents of a store by their path ("" for the root). */
export type Documents = (path: string) => Json;

/** Read what the documents say of a grid. */
export function readGrid(documents: Documents, name: string, encoding: Encoding): Grid {
  const attributes = documents(name).at("attributes");
  const times = attributes.at("geoembz:times");
  const stored = times.exists ? times.list().map((time) => time.at("time").text()) : [];
  const datePositions = stored.map((_, index) => index).sort((a, b) => ((stored[a] ?? "") < (stored[b] ?? "") ? -1 : 1));
  const bands = attributes.at("geoembz:band_names");
  return {
    name,
    crs: readCrs(attributes),
    dates: datePositions.map((position) => stored[position] ?? ""),
    datePositions,
    bandNames: bands.exists ? bands.list().map((band) => (band.value === null ? null : band.text())) : null,
    levels: readLevels(documents, name, encoding),
  };
}

/** Read the CRS of a group's attributes. */
export function readCrs(attributes: Json): Raster["crs"] {
  const code = attributes.at("proj:code");
  return { code: code.exists ? code.text() : null, wkt2: attributes.at("proj:wkt2").text() };
}

/** Return the full resolution and the overviews (format.md, "Overviews"). */
function readLevels(documents: Documents, grid: string, encoding: Encoding): Level[] {
  const attributes = documents(grid).at("attributes");
  const layout = attributes.at("geoembz:layout").text();
  const base = readLevel(documents, grid, "", attributes, 1, layout, encoding, 0);
  const multiscales = attributes.at("multiscales");
  if (!multiscales.exists) return [base];
  const coarser = multiscales.at("layout").list().slice(1);
  return [
    base,
    ...coarser.map((entry, index) => {
      const factor = Math.round(entry.at("transform").at("scale").at(0).number());
      return readLevel(documents, grid, entry.at("asset").text(), entry, factor, layout, encoding, index + 1);
    }),
  ];
}

function readLevel(
  documents: Documents,
  grid: string,
  folder: string,
  spatial: Json,
  factor: number,
  layout: string,
  encoding: Encoding,
  index: number,
): Level {
  const [height = 0, width = 0] = spatial.at("spatial:shape").numbers(2);
  const transform = spatial.at("spatial:transform").numbers(6) as unknown as Affine;
  const path = inside(grid, inside(folder, "embedding"));
  const codes = codesDocument(documents(path), layout, encoding);
  const embedding = readArrayDocument(codes, `/${path}`);
  checkShape(codes, embedding, encoding, [height, width]);
  const optional = (name: string): ArrayDocument | null =>
    documents(inside(grid, name)).exists ? arrayDocument(documents, inside(grid, name)) : null;
  const valid = encoding.needsMask && layout === "plain" ? arrayDocument(documents, inside(grid, inside(folder, "valid"))) : null;
  return {
    index,
    factor,
    width,
    height,
    transform,
    bbox: cornersOf(transform, height, width),
    chunk: lastTwo(embedding.chunkShape),
    shard: lastTwo(embedding.shardShape),
    arrays: {
      embedding,
      valid,
      embeddingDigests: optional(inside("digests", inside(folder, "embedding"))),
      validDigests: valid === null ? null : optional(inside("digests", inside(folder, "valid"))),
    },
  };
}

function checkShape(json: Json, array: ArrayDocument, encoding: Encoding, [height, width]: [number, number]): void {
  const shape = array.shape.slice(-3);
  const expected = [encoding.codeLength, height, width];
  const isFloat = array.type === "float32" || array.isFloat16;
  if (shape.join() !== expected.join() || isFloat === encoding.isBytes || array.shape.length > 4) {
    throw new ViewerError(
      "damaged",
      json.url,
      `${json.path} has the shape ${array.shape.join(" x ")} and the type ${array.type}; its recipe ` +
        `${encoding.recipe} and its grid say ${expected.join(" x ")}. The store's metadata are damaged.`,
    );
  }
}

/** Read the document of an array. */
export function arrayDocument(documents: Documents, path: string): ArrayDocument {
  return readArrayDocument(documents(path), `/${path}` as AbsolutePath);
}

/** Return the path of something in a folder; "" is the root. */
export function inside(folder: string, path: string): string {
  return folder === "" ? path : `${folder}/${path}`;
}

/** Return the last two numbers of a shape: rows and columns. */
export function lastTwo(shape: readonly number[]): [number, number] {
  return [shape.at(-2) ?? 1, shape.at(-1) ?? 1];
}

/** Return `[xmin, ymin, xmax, ymax]` of all pixel corners. */
export function cornersOf(transform: Affine, height: number, width: number): [number, number, number, number] {
  const [a, b, c, d, e, f] = transform;
  const x = [c, a * width + c, b * height + c, a * width + b * height + c];
  const y = [f, d * width + f, e * height + f, d * width + e * height + f];
  return [Math.min(...x), Math.min(...y), Math.max(...x), Math.max(...y)];
}
