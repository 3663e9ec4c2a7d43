/** Open a store by its URL: one document and the few arrays of its Encoding are all that is fetched. */

import { type ArrayDocument, readEncodingArrays } from "./arrays.js";
import { registerCodecs } from "./codecs.js";
import { Encoding, type EncodingState } from "./encoding.js";
import { ViewerError } from "./errors.js";
import { type Documents, type Grid, arrayDocument, inside, readGrid } from "./grids.js";
import { contentHash } from "./hash.js";
import { type Fetch, HttpSource, type Traffic } from "./http.js";
import { Json, type JsonObject } from "./json.js";

const CONVENTION = "5bdee612-a44e-461d-a046-554e1bff041c";
/** Attribute of a group that is a map (spec/map.md). */
export const MAP_ATTRIBUTE = "geoembz:map";
const VERSIONS: readonly string[] = ["0.1", "0.2"];
const MOST_ENCODING_BYTES = 2 ** 30;

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
export function absolute(url: string): string {
  const page = (globalThis as { readonly location?: Location }).location?.href;
  try {
    const { origin, pathname, search } = new URL(url, page);
    return origin + pathname.replace(/\/+$/, "") + search;
  } catch (cause) {
    throw new ViewerError("invalid-query", url, "not an address; expected one such as https://host/name.zarr", { cause });
  }
}

/** Read the document of a store, or a map. */
export async function readRoot(source: HttpSource, signal: AbortSignal | undefined): Promise<Json> {
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
  if (attributes.at(MAP_ATTRIBUTE).exists) {
    throw new ViewerError(
      "not-a-store",
      url,
      "this is a map that `geoembz map` made, not a store of embeddings: name it by ?map=ADDRESS at the end of this " +
        "page's address, or open it with `geoembz view`.",
    );
  }
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

/** Return the documents that a root holds. */
export function consolidated(root: Json): Documents {
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
