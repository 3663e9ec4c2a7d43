/** Tell objects that were never stored from those that were lost (spec/format.md, "Digests"). */

import type { AbsolutePath, AsyncReadable, GetOptions, RangeQuery } from "zarrita";
import { type ArrayDocument, explained, openArray } from "./arrays.js";
import { ViewerError } from "./errors.js";
import type { LevelArrays } from "./grids.js";

type Source = Required<Pick<AsyncReadable, "get" | "getRange">>;

/** A source that refuses to call an object absent which the store says it has. */
export class GuardedSource implements AsyncReadable {
  private readonly digests = new Map<string, ArrayDocument>();
  private readonly chunks = new Map<string, Promise<unknown>>();

  constructor(
    private readonly source: Source,
    levels: readonly LevelArrays[],
  ) {
    for (const { embedding, valid, embeddingDigests, validDigests } of levels) {
      if (embeddingDigests !== null) this.digests.set(`${embedding.path}/c/`, embeddingDigests);
      if (valid !== null && validDigests !== null) this.digests.set(`${valid.path}/c/`, validDigests);
    }
  }

  async get(key: AbsolutePath, options?: GetOptions): Promise<Uint8Array | undefined> {
    return (await this.source.get(key, options)) ?? this.absent(key);
  }

  async getRange(key: AbsolutePath, range: RangeQuery, options?: GetOptions): Promise<Uint8Array | undefined> {
    return (await this.source.getRange(key, range, options)) ?? this.absent(key);
  }

  /** Return undefined where the digests agree that there is no such object. */
  private async absent(key: AbsolutePath): Promise<undefined> {
    const folder = key.slice(0, key.lastIndexOf("/c/") + 3);
    const digests = this.digests.get(folder);
    if (digests === undefined) return undefined;
    const place = key.slice(folder.length).split("/").map(Number);
    const sides = digests.chunkShape;
    const { data, stride } = await this.chunk(digests, place.map((index, axis) => Math.floor(index / (sides[axis] ?? 1))));
    const at = place.reduce((sum, index, axis) => sum + (index % (sides[axis] ?? 1)) * (stride[axis] ?? 0), 0);
    if (data.subarray(at, at + DIGEST_BYTES).some((byte) => byte !== 0)) {
      throw new ViewerError(
        "lost-object",
        key,
        "this object is part of the store, and the server does not have it, or does not give it to everybody (S3 " +
          "answers 403 or 404). Publish the store again; `geoembz verify` lists all that is missing.",
      );
    }
    return undefined;
  }

  /** Return a chunk of digests, which many absent objects share. */
  private chunk(digests: ArrayDocument, place: readonly number[]): Promise<DigestChunk> {
    const key = [digests.path, ...place].join();
    const read = this.chunks.get(key) ?? explained(digests.path, () => openArray(this.source, digests).getChunk([...place, 0]));
    this.chunks.set(key, read);
    read.catch(() => this.chunks.delete(key));
    return read as Promise<DigestChunk>;
  }
}

const DIGEST_BYTES = 16;

interface DigestChunk {
  readonly data: Uint8Array;
  readonly stride: readonly number[];
}
