/** Codes of a level, chunk by chunk: fetched once, decompressed, and kept while there is room. */

import type { Array as ZarrArray, AsyncReadable } from "zarrita";
import { type ArrayDocument, explained, openArray } from "./arrays.js";
import { validity } from "./decode.js";
import type { Codes, Encoding } from "./encoding.js";
import { ViewerError, isAbort } from "./errors.js";
import { widenFloat16 } from "./float16.js";
import { StartSource, startOf } from "./starts.js";
import type { Level } from "./grids.js";

type Source = Required<Pick<AsyncReadable, "get" | "getRange">>;

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
    private readonly source: Source,
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
    const chunk: Place = { level, position, row, col };
    const start = codes < this.encoding.codeLength ? startOf(level.arrays.embedding, codes) : null;
    const isAtHand = this.kept.has(keyOf(chunk, this.partsOf(level, codes)));
    if (start === null || isAtHand) return this.readParts(chunk, this.partsOf(level, codes), signal);
    try {
      return await this.readOnce(keyOf(chunk, `start ${start.rows}`), signal, () => {
        const { document, bytes } = start;
        return this.fetch(chunk, document, 1, new StartSource(this.source, bytes), signal);
      });
    } catch (error) {
      if (!(error instanceof ViewerError) || error.kind !== "damaged") throw error;
      return this.readParts(chunk, this.partsOf(level, codes), signal); // which tells damage from bad luck
    }
  }

  /** Return how many chunks along the first axis hold so many stored numbers. */
  private partsOf(level: Level, codes: number): number {
    const step = level.arrays.embedding.chunkShape.at(-3) ?? 1;
    return Math.ceil(Math.min(codes, this.encoding.codeLength) / step);
  }

  private readParts(chunk: Place, parts: number, signal: AbortSignal | undefined): Promise<Block> {
    const { embedding } = chunk.level.arrays;
    return this.readOnce(keyOf(chunk, parts), signal, () => this.fetch(chunk, embedding, parts, this.source, signal));
  }

  /** Return what is kept under a key, or being fetched; else fetch it. */
  private async readOnce(key: string, signal: AbortSignal | undefined, fetch: () => Promise<Block>): Promise<Block> {
    for (;;) {
      signal?.throwIfAborted();
      const kept = this.kept.get(key) ?? this.start(key, fetch());
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

  private start(key: string, block: Promise<Block>): Kept {
    const kept: Kept = { block, bytes: 0 };
    block.then(
      (found) => this.account(key, kept, found),
      () => this.kept.get(key) === kept && this.kept.delete(key),
    );
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
    { level, position, row, col }: Place,
    embedding: ArrayDocument,
    parts: number,
    source: Source,
    signal: AbortSignal | undefined,
  ): Promise<Block> {
    const { valid } = level.arrays;
    const [rows, cols] = level.chunk;
    const date = position === null ? [] : [position];
    const numbers = Array.from({ length: parts }, (_, part) => part);
    const [mask, ...codes] = await Promise.all([
      valid === null ? null : this.chunk(valid, this.source, [...date, row, col], signal),
      ...numbers.map((part) => this.chunk(embedding, source, [...date, part, row, col], signal)),
    ]);
    const joined = join(codes as Codes[]);
    const n = rows * cols;
    const flags = validity(this.encoding, joined, n, mask as Uint8Array | null);
    return { n, rows, cols, codes: joined, valid: flags, memo: new Map() };
  }

  private async chunk(
    array: ArrayDocument,
    source: Source,
    place: number[],
    signal: AbortSignal | undefined,
  ): Promise<Codes> {
    const key = `${array.path} ${array.shape.join()}`;
    const opened = this.arrays.get(key) ?? openArray(source, array);
    this.arrays.set(key, opened);
    const options = signal === undefined ? {} : { signal };
    const { data } = await explained(array.path, () => opened.getChunk(place, options));
    const codes = data as unknown as Codes | Uint16Array;
    return codes instanceof Uint16Array ? widenFloat16(codes) : codes;
  }
}

/** A chunk of a level, of one date. */
interface Place {
  readonly level: Level;
  readonly position: number | null;
  readonly row: number;
  readonly col: number;
}

function keyOf({ level, position, row, col }: Place, what: string | number): string {
  return [level.arrays.embedding.path, position, row, col, what].join();
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
