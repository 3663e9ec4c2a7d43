/** Codes of a level, chunk by chunk: fetched once, decompressed, and kept while there is room. */

import type { Array as ZarrArray, AsyncReadable } from "zarrita";
import { type ArrayDocument, explained, openArray } from "./arrays.js";
import { validity } from "./decode.js";
import type { Codes, Encoding } from "./encoding.js";
import { isAbort } from "./errors.js";
import { widenFloat16 } from "./float16.js";
import type { Level } from "./store.js";

/** A chunk of pixels. */
export interface Block {
  /** Pixels in it, those beyond the level's edge included: rows · cols. */
  readonly n: number;
  readonly rows: number;
  readonly cols: number;
  /** As stored, shape `(l, n)`: all L stored numbers, or the first ones that were asked for. */
  readonly codes: Codes;
  /** 1 where a pixel holds an embedding. */
  readonly valid: Uint8Array;
  /** What was computed from the codes alone, by name. */
  readonly memo: Map<string, Float32Array>;
}

interface Kept {
  readonly block: Promise<Block>;
  bytes: number;
}

/** Chunks of all levels of a store, the least recently used given up first. */
export class Blocks {
  private readonly kept = new Map<string, Kept>();
  private readonly arrays = new Map<string, ZarrArray<"float32", AsyncReadable>>();
  private bytes = 0;

  constructor(
    private readonly source: AsyncReadable,
    private readonly encoding: Encoding,
    private readonly mostBytes: number,
  ) {}

  /**
   * Return a chunk.
   *
   * @param position of the date on the stored axis; null without a time axis
   * @param codes how many stored numbers of each pixel are needed, from the first
   */
  async read(
    level: Level,
    position: number | null,
    row: number,
    col: number,
    codes: number,
    signal?: AbortSignal,
  ): Promise<Block> {
    const step = level.arrays.embedding.chunkShape.at(-3) ?? 1;
    const parts = Math.ceil(Math.min(codes, this.encoding.codeLength) / step);
    const key = [level.arrays.embedding.path, position, row, col, parts].join();
    for (;;) {
      signal?.throwIfAborted();
      const kept = this.kept.get(key) ?? this.start(key, level, position, row, col, parts, signal);
      this.kept.delete(key); // behind all others: it is the latest used
      this.kept.set(key, kept);
      try {
        return await kept.block;
      } catch (error) {
        // Another caller gave up what both were waiting for: ask again.
        if (!isAbort(error) || signal?.aborted === true) throw error;
      }
    }
  }

  private start(
    key: string,
    level: Level,
    position: number | null,
    row: number,
    col: number,
    parts: number,
    signal: AbortSignal | undefined,
  ): Kept {
    const kept: Kept = { block: this.fetch(level, position, row, col, parts, signal), bytes: 0 };
    kept.block.then(
      (block) => this.account(key, kept, block),
      () => this.kept.get(key) === kept && this.kept.delete(key),
    );
    this.kept.set(key, kept);
    return kept;
  }

  private account(key: string, kept: Kept, block: Block): void {
    if (this.kept.get(key) !== kept) return;
    kept.bytes = block.codes.byteLength + 2 * 4 * block.n; // and what may be memorised
    this.bytes += kept.bytes;
    for (const [oldest, { bytes }] of this.kept) {
      if (this.bytes <= this.mostBytes || oldest === key) break;
      this.kept.delete(oldest);
      this.bytes -= bytes;
    }
  }

  private async fetch(
    level: Level,
    position: number | null,
    row: number,
    col: number,
    parts: number,
    signal: AbortSignal | undefined,
  ): Promise<Block> {
    const { embedding, valid } = level.arrays;
    const [rows, cols] = level.chunk;
    const date = position === null ? [] : [position];
    const numbers = Array.from({ length: parts }, (_, part) => part);
    const [mask, ...codes] = await Promise.all([
      valid === null ? null : this.chunk(valid, [...date, row, col], signal),
      ...numbers.map((part) => this.chunk(embedding, [...date, part, row, col], signal)),
    ]);
    const joined = join(codes as Codes[]);
    const n = rows * cols;
    return { n, rows, cols, codes: joined, valid: validity(this.encoding, joined, n, mask as Uint8Array | null), memo: new Map() };
  }

  private async chunk(array: ArrayDocument, place: number[], signal: AbortSignal | undefined): Promise<Codes> {
    const opened = this.arrays.get(array.path) ?? openArray(this.source, array);
    this.arrays.set(array.path, opened);
    const options = signal === undefined ? {} : { signal };
    const { data } = await explained(array.path, () => opened.getChunk(place, options));
    const codes = data as unknown as Codes | Uint16Array;
    return codes instanceof Uint16Array ? widenFloat16(codes) : codes;
  }
}

function join(parts: readonly Codes[]): Codes {
  const [first] = parts;
  if (first === undefined) return new Uint8Array(0);
  if (parts.length === 1) return first;
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const all = new (first.constructor as new (length: number) => Codes)(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
