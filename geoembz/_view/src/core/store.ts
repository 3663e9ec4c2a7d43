/** Open a store by its URL: one document and the few arrays of its Encoding are all that is fetched. */

import type { AbsolutePath } from "zarrita";
import {
  type ArrayDocument,
  codesDocument,
  readArrayDocument,
  readEncodingArrays,
} from "./arrays.js";
import { registerCodecs } from "./codecs.js";
import { Encoding, type EncodingState } from "./encoding.js";
import { ViewerError } from "./errors.js";
import { contentHash } from "./hash.js";
import { type Fetch, HttpSource, type Traffic } from "./http.js";
import { Json, type JsonObject } from "./json.js";

const CONVENTION = "5bdee612-a44e-461d-a046-554e1bff041c";
const VERSIONS: readonly string[] = ["0.1", "0.2"];
const MOST_ENCODING_BYTES = 2 ** 30;

export type Affine = readonly [number, number, number, number, number, number];

/** One resolution of a grid. */
export interface Level {
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

/** One raster: a CRS, a transform, dates, levels. */
export interface Grid {
  /** "" where the store has one grid only. */
  readonly name: string;
  readonly crs: { readonly code: string | null; readonly wkt2: string };
  /** "YYYY-MM-DD" in the order of time; empty without a time axis. */
  readonly dates: readonly string[];
  /** Position of each of `dates` on the stored axis. */
  readonly datePositions: readonly number[];
  readonly bandNames: readonly (string | null)[] | null;
  /** Full resolution first. */
  readonly levels: readonly Level[];
}

/** What is known of a store without its pixels; plain data but for `encoding`. */
export interface Store {
  /** Without a slash at the end. */
  readonly url: string;
  readonly version: string;
  readonly recipe: string;
  readonly encodingHash: string;
  /** Of the root, as stored. */
  readonly attributes: JsonObject;
  readonly encoding: Encoding;
  readonly grids: readonly Grid[];
  /** What opening cost. */
  readonly traffic: Traffic;
}

/** Documents of a store by their path ("" for the root). */
type Documents = (path: string) => Json;

/**
 * Open a store.
 *
 * @param url of the folder that holds the store's root `zarr.json`
 * @throws ViewerError where there is no store that this viewer can show
 */
export async function openStore(
  url: string,
  options: { readonly fetch?: Fetch; readonly signal?: AbortSignal } = {},
): Promise<Store> {
  registerCodecs();
  const source = new HttpSource(absolute(url), options.fetch);
  const root = await readRoot(source, options.signal);
  const attributes = root.at("attributes");
  const version = checkedVersion(attributes);
  const documents = consolidated(root);
  const names = attributes.at("geoembz:grids").exists
    ? attributes.at("geoembz:grids").list().map((name) => name.text())
    : [""];
  const first = names[0] ?? "";
  const state = await readEncoding(source, root, documents, first, options.signal);
  const encoding = new Encoding(state);
  return {
    url: source.url,
    version,
    recipe: attributes.at("geoembz:recipe").text(),
    encodingHash: attributes.at("geoembz:encoding_hash").text(),
    attributes: attributes.object(),
    encoding,
    grids: names.map((name) => readGrid(documents, name, encoding)),
    traffic: { ...source.traffic },
  };
}

/** Return a URL as workers need it, whose own address is another than the page's. */
function absolute(url: string): string {
  const page = (globalThis as { readonly location?: Location }).location?.href;
  try {
    const { origin, pathname, search } = new URL(url, page);
    return origin + pathname.replace(/\/+$/, "") + search;
  } catch (cause) {
    throw new ViewerError("invalid-query", url, "not an address; expected one such as https://host/name.zarr", { cause });
  }
}

async function readRoot(source: HttpSource, signal: AbortSignal | undefined): Promise<Json> {
  const bytes = await source.get("/zarr.json", signal ? { signal } : {});
  if (bytes === undefined) {
    throw new ViewerError(
      "not-found",
      source.url,
      "there is no zarr.json that may be read here. Give the address of the store's folder (…/name.zarr); where it " +
        "is right, the store is not public, or not finished.",
    );
  }
  try {
    return new Json(JSON.parse(new TextDecoder().decode(bytes)), source.url);
  } catch (cause) {
    throw new ViewerError("not-a-store", source.url, "zarr.json is no JSON; this is not a geoembz store.", { cause });
  }
}

function checkedVersion(attributes: Json): string {
  const { url } = attributes;
  const conventions = attributes.at("zarr_conventions");
  const isOurs = Array.isArray(conventions.value) && conventions.list().some((c) => c.at("uuid").value === CONVENTION);
  if (!isOurs) {
    throw new ViewerError(
      "not-a-store",
      url,
      "this Zarr group is not a geoembz store: it does not declare the convention. Convert the embeddings with " +
        "`geoembz convert`, then view the result.",
    );
  }
  const version = String(attributes.at("geoembz:version").value);
  if (!VERSIONS.includes(version)) {
    throw new ViewerError(
      "unsupported-version",
      url,
      `the store has format ${version}; this viewer reads ${VERSIONS.join(" and ")}. Update geoembz.`,
    );
  }
  if (attributes.at("geoemb:type").value !== "pixel") {
    throw new ViewerError("unsupported-store", url, "this is the store of a table, which has no pixels to show on a map.");
  }
  return version;
}

function consolidatedOf(root: Json): Json {
  return root.at("consolidated_metadata").at("metadata");
}

function consolidated(root: Json): Documents {
  const inline = consolidatedOf(root);
  if (!inline.exists) {
    throw new ViewerError(
      "unsupported-store",
      root.url,
      "its zarr.json has no consolidated metadata, by which a browser finds the arrays; write it again with geoembz.",
    );
  }
  return (path) => (path === "" ? root : inline.at(path));
}

async function readEncoding(
  source: HttpSource,
  root: Json,
  documents: Documents,
  grid: string,
  signal: AbortSignal | undefined,
): Promise<EncodingState> {
  const config = documents(grid).at("attributes").at("geoembz:encoding");
  const folder = inside(grid, "encoding/");
  const paths = Object.keys(consolidatedOf(root).object()).filter((path) => path.startsWith(folder));
  const arrays = paths.map((path) => arrayDocument(documents, path));
  const length = (array: ArrayDocument): number => array.shape.reduce((product, side) => product * side, 1);
  const bytes = 4 * arrays.reduce((sum, array) => sum + length(array), 0);
  if (bytes > MOST_ENCODING_BYTES) {
    throw new ViewerError("damaged", source.url, `its encoding claims ${bytes} bytes; at most 1 GiB is allowed`);
  }
  const values = await readEncodingArrays(source, arrays, signal);
  const shapes = arrays.map(({ path, shape }) => ({ name: path.slice(folder.length + 1), shape }));
  const stated = documents(grid).at("attributes").at("geoembz:encoding_hash").text();
  const hash = await contentHash(config.object(), shapes, values);
  if (hash !== null && hash !== stated) {
    throw new ViewerError(
      "damaged",
      source.url,
      `the encoding's hash is ${hash}; the store says ${stated}. Its arrays are damaged, or another store's: fetch it again.`,
    );
  }
  return { config: config.value, arrays: values, url: source.url };
}

function readGrid(documents: Documents, name: string, encoding: Encoding): Grid {
  const attributes = documents(name).at("attributes");
  const times = attributes.at("geoembz:times");
  const stored = times.exists ? times.list().map((time) => time.at("time").text()) : [];
  const datePositions = stored.map((_, index) => index).sort((a, b) => ((stored[a] ?? "") < (stored[b] ?? "") ? -1 : 1));
  const bands = attributes.at("geoembz:band_names");
  return {
    name,
    crs: {
      code: attributes.at("proj:code").exists ? attributes.at("proj:code").text() : null,
      wkt2: attributes.at("proj:wkt2").text(),
    },
    dates: datePositions.map((position) => stored[position] ?? ""),
    datePositions,
    bandNames: bands.exists ? bands.list().map((band) => (band.value === null ? null : band.text())) : null,
    levels: readLevels(documents, name, encoding),
  };
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

function arrayDocument(documents: Documents, path: string): ArrayDocument {
  return readArrayDocument(documents(path), `/${path}` as AbsolutePath);
}

function inside(folder: string, path: string): string {
  return folder === "" ? path : `${folder}/${path}`;
}

function lastTwo(shape: readonly number[]): [number, number] {
  return [shape.at(-2) ?? 1, shape.at(-1) ?? 1];
}

function cornersOf(transform: Affine, height: number, width: number): [number, number, number, number] {
  const [a, b, c, d, e, f] = transform;
  const x = [c, a * width + c, b * height + c, a * width + b * height + c];
  const y = [f, d * width + f, e * height + f, d * width + e * height + f];
  return [Math.min(...x), Math.min(...y), Math.max(...x), Math.max(...y)];
}
