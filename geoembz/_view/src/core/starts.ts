/**
 * The first components of a chunk without the rest of it.
 *
 * Codes lie component by component, and zstd compresses in blocks of 128 KiB, one after the other. So the first bytes of a
 * chunk give its first components: a picture of three needs an eighth of a chunk of 64, whoever wrote the store. The
 * checksum stands at the chunk's end and is not checked; whatever is computed of whole vectors reads whole chunks.
 */

import type { AbsolutePath, AsyncReadable, GetOptions, RangeQuery } from "zarrita";
import type { ArrayDocument } from "./arrays.js";
import { ZSTD_START, itemBytes } from "./codecs.js";

const ZSTD_BLOCK_BYTES = 128 * 1024; // RFC 8878, 3.1.1.2.4
/** Of the frame, and of blocks that the compressor split further. */
const HEADER_BYTES = 256;
/** Below this share of a chunk its start is worth a request of its own. */
const WORTHWHILE = 0.5;

/** The start of all chunks of an array, as an array of its own. */
export interface Start {
  readonly document: ArrayDocument;
  /** Compressed bytes that are enough. */
  readonly bytes: number;
  /** Stored numbers per pixel. */
  readonly rows: number;
}

/**
 * Return what gives the first stored numbers of each pixel; null where whole chunks are as good.
 *
 * @param rows how many are needed; those that the same blocks hold come along
 */
export function startOf(array: ArrayDocument, rows: number): Start | null {
  const all = array.chunkShape.at(-3) ?? 1;
  const pixels = (array.chunkShape.at(-2) ?? 1) * (array.chunkShape.at(-1) ?? 1);
  const rowBytes = pixels * itemBytes(array.type);
  const blocks = Math.ceil((rows * rowBytes) / ZSTD_BLOCK_BYTES);
  const held = Math.min(Math.floor((blocks * ZSTD_BLOCK_BYTES) / rowBytes), all);
  const bytes = blocks * ZSTD_BLOCK_BYTES + HEADER_BYTES;
  const isWhole = (array.shape.at(-3) ?? 1) <= all; // and not cut along the components already
  if (!array.isSharded || !isWhole || bytes > WORTHWHILE * all * rowBytes) return null;
  return { document: shortened(array, held), bytes, rows: held };
}

/** Return an array's metadata with fewer numbers along the first axis, and a codec that stops there. */
function shortened(array: ArrayDocument, rows: number): ArrayDocument {
  const cut = (shape: readonly number[]): number[] => shape.map((side, axis) => (axis === shape.length - 3 ? rows : side));
  const document = structuredClone(array.document) as { codecs: Codec[]; chunk_grid: { configuration: Chunked } };
  const { configuration } = document.chunk_grid;
  configuration.chunk_shape = cut(configuration.chunk_shape);
  const [outer] = document.codecs;
  if (outer?.name === "sharding_indexed") outer.configuration.chunk_shape = cut(outer.configuration.chunk_shape);
  const compressors = outer?.name === "sharding_indexed" ? outer.configuration.codecs : document.codecs;
  for (const codec of compressors) if (codec.name === "zstd") codec.name = ZSTD_START;
  return {
    ...array,
    shape: cut(array.shape),
    shardShape: cut(array.shardShape),
    chunkShape: cut(array.chunkShape),
    document: { ...document, shape: cut(array.shape) },
  };
}

interface Chunked {
  chunk_shape: number[];
}

interface Codec {
  name: string;
  configuration: Chunked & { codecs: Codec[] };
}

type Source = Required<Pick<AsyncReadable, "get" | "getRange">>;

/** A source that gives no more than the first bytes of chunks. */
export class StartSource implements AsyncReadable {
  constructor(
    private readonly source: Source,
    private readonly bytes: number,
  ) {}

  get(key: AbsolutePath, options?: GetOptions): Promise<Uint8Array | undefined> {
    return this.source.get(key, options);
  }

  getRange(key: AbsolutePath, range: RangeQuery, options?: GetOptions): Promise<Uint8Array | undefined> {
    if ("suffixLength" in range) return this.source.getRange(key, range, options);
    return this.source.getRange(key, { ...range, length: Math.min(range.length, this.bytes) }, options);
  }
}
