/** Tell objects that were never stored from those that were lost (spec/format.md, "Digests"). */

import { type AbsolutePath, type AsyncReadable, type GetOptions, type RangeQuery, get, slice } from "zarrita";
import { type ArrayDocument, explained, openArray } from "./arrays.js";
import { ViewerError } from "./errors.js";
import type { LevelArrays } from "./store.js";

type Source = Required<Pick<AsyncReadable, "get" | "getRange">>;

/** A source that refuses to call an object absent which the store says it has. */
export class GuardedSource implements AsyncReadable {
  private readonly digests = new Map<string, ArrayDocument>();

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
    const selection = [...place.map((index) => slice(index, index + 1)), null];
    const read = await explained(digests.path, () => get(openArray(this.source, digests), selection));
    if ([...(read.data as ArrayLike<number> & Iterable<number>)].some((byte) => byte !== 0)) {
      throw new ViewerError(
        "lost-object",
        key,
        "this object is part of the store, and the server does not have it, or does not give it to everybody (S3 " +
          "answers 403 or 404). Publish the store again; `geoembz verify` lists all that is missing.",
      );
    }
    return undefined;
  }
}
