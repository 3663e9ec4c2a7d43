/** Documents of Zarr arrays: checked, and made such that reading them gives the stored numbers. */

import { type AbsolutePath, Array as ZarrArray, type AsyncReadable, get } from "zarrita";
import { ViewerError, isAbort } from "./errors.js";
import type { Encoding, EncodingArrays } from "./encoding.js";
import { Json } from "./json.js";

type NumberType = "int8" | "uint8" | "uint16" | "int64" | "float32" | "float64";

/** Metadata of an array whose elements are read as plain numbers. */
export interface ArrayDocument {
  readonly path: AbsolutePath;
  readonly shape: readonly number[];
  readonly dimensions: readonly string[];
  /** Of a stored object. */
  readonly shardShape: readonly number[];
  /** Of what is compressed in one piece. */
  readonly chunkShape: readonly number[];
  readonly isSharded: boolean;
  /** Type that is read: bool comes as uint8, float16 as uint16. */
  readonly type: NumberType;
  readonly isFloat16: boolean;
  readonly document: Readonly<Record<string, unknown>>;
}

const READ_AS: Readonly<Record<string, NumberType>> = {
  int8: "int8",
  uint8: "uint8",
  bool: "uint8",
  float16: "uint16",
  int64: "int64",
  float32: "float32",
  float64: "float64",
};

const FLOAT16_NAN = 0x7e00;

/**
 * Read the metadata of an array.
 *
 * @param json its `zarr.json`, or what stands for it in consolidated metadata
 * @param path of the array in the store, with a slash before
 */
export function readArrayDocument(json: Json, path: AbsolutePath): ArrayDocument {
  const document = json.object();
  const shape = json.at("shape").numbers();
  const shardShape = json.at("chunk_grid").at("configuration").at("chunk_shape").numbers(shape.length);
  const dataType = json.at("data_type").text();
  const type = READ_AS[dataType];
  if (type === undefined) throw unsupported(json, `the type ${dataType}`);
  const codecs = json.at("codecs").list();
  const names = codecs.map((codec) => codec.at("name").text());
  const sharding = names[0] === "sharding_indexed" ? codecs[0]?.at("configuration") : undefined;
  const chunkShape = sharding?.at("chunk_shape").numbers(shape.length) ?? shardShape;
  const inner = sharding?.at("codecs").list().map((codec) => codec.at("name").text()) ?? names;
  const strange = inner.find((name) => !["bytes", "zstd", "crc32c", "numcodecs.delta"].includes(name));
  if (strange !== undefined) throw unsupported(json, `the codec ${strange}`);
  if (sharding !== undefined && sharding.at("index_location").value === "start") {
    throw unsupported(json, "shards with their index at the start");
  }
  const dimensions = json.at("dimension_names").exists
    ? json.at("dimension_names").list().map((name) => String(name.value))
    : [];
  const isFloat16 = dataType === "float16";
  const fill = isFloat16 ? FLOAT16_NAN : Number(document["fill_value"]);
  const plain = { ...document, data_type: type, fill_value: type === "int64" ? BigInt(0) : fill };
  const isSharded = sharding !== undefined;
  return { path, shape, dimensions, shardShape, chunkShape, isSharded, type, isFloat16, document: plain };
}

/** Return the metadata of codes: in the codec layout those that the plain layout would have (format.md, "Layouts"). */
export function codesDocument(json: Json, layout: string, encoding: Encoding): Json {
  if (layout === "plain") return json;
  const { kind, bits } = encoding.quantizer;
  const length = encoding.codeLength;
  const isSigned = kind === "int8" || kind === "power";
  const floats = bits === 16 ? "float16" : "float32";
  const document = {
    ...json.object(),
    shape: [length, ...json.at("shape").numbers().slice(1)],
    data_type: !encoding.isBytes ? floats : isSigned ? "int8" : "uint8",
    fill_value: !encoding.isBytes ? "NaN" : isSigned ? -128 : kind === "ternary" ? 255 : 0,
    chunk_grid: { name: "regular", configuration: withLength(json.at("chunk_grid").at("configuration"), length) },
    codecs: standardOnly(json.at("codecs"), length),
  };
  return new Json(document, json.url, json.path);
}

function withLength(configuration: Json, length: number): Record<string, unknown> {
  const sides = configuration.at("chunk_shape").numbers().slice(1);
  return { ...configuration.object(), chunk_shape: [length, ...sides] };
}

function standardOnly(codecs: Json, length: number): unknown[] {
  const kept = codecs.list().filter((codec) => !codec.at("name").text().startsWith("geoembz."));
  return kept.map((codec) => {
    if (codec.at("name").value !== "sharding_indexed") return codec.value;
    const configuration = codec.at("configuration");
    const inner = standardOnly(configuration.at("codecs"), length);
    return { name: "sharding_indexed", configuration: { ...withLength(configuration, length), codecs: inner } };
  });
}

/** Return zarrita's array of a document. */
export function openArray(source: AsyncReadable, array: ArrayDocument): ZarrArray<"float32", AsyncReadable> {
  type Metadata = ConstructorParameters<typeof ZarrArray<"float32", AsyncReadable>>[2];
  return new ZarrArray(source, array.path, array.document as unknown as Metadata);
}

/** Read a small float32 array whole. */
export async function readFloats(source: AsyncReadable, array: ArrayDocument, signal?: AbortSignal): Promise<Float32Array> {
  const read = await explained(array.path, () => get(openArray(source, array), null, signal ? { signal } : {}));
  if (!(read.data instanceof Float32Array)) {
    throw new ViewerError("damaged", array.path, `numbers of type ${array.type}; expected float32`);
  }
  return read.data;
}

/** Read the arrays of an Encoding. */
export async function readEncodingArrays(
  source: AsyncReadable,
  documents: readonly ArrayDocument[],
  signal?: AbortSignal,
): Promise<EncodingArrays> {
  const name = (document: ArrayDocument): string => document.path.split("/").at(-1) ?? "";
  const values = await Promise.all(documents.map((document) => readFloats(source, document, signal)));
  return Object.fromEntries(documents.map((document, index) => [name(document), values[index] as Float32Array]));
}

/** Run a read; what zarrita or a codec finds wrong with the bytes becomes a sentence. */
export async function explained<Value>(path: string, read: () => Promise<Value>): Promise<Value> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ViewerError || isAbort(error)) throw error;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ViewerError("damaged", path, `cannot be read: ${reason}. Fetch the store again.`, { cause: error });
  }
}

function unsupported(json: Json, what: string): ViewerError {
  return new ViewerError(
    "unsupported-store",
    json.url,
    `${json.path || "an array"} has ${what}, which no geoembz store of a known version has; expected one that ` +
      "`geoembz convert` wrote",
  );
}
