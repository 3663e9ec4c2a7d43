/** Ask for neighbouring ranges of an object in one request; whoever gives up does not take the others with him. */

import type { AbsolutePath, AsyncReadable, GetOptions, RangeQuery } from "zarrita";

type Source = Required<Pick<AsyncReadable, "get" | "getRange">>;

/** Ranges asked for within this time (in ms) go together: the tiles of a map come one after the other. */
const WAIT_MS = 4;

/** Bytes between two ranges that are fetched in vain rather than asked for anew: some 10 ms at 10 MB/s. */
const GAP_BYTES = 128 * 1024;

/** Longest request: pictures should appear piece by piece. */
const LONGEST_BYTES = 16 * 1024 * 1024;

interface Wanted {
  readonly offset: number;
  readonly length: number;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (bytes: Uint8Array | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** A source whose ranges are coalesced; all else passes through. */
export class CoalescedSource implements AsyncReadable {
  private readonly waiting = new Map<AbsolutePath, Wanted[]>();
  private readonly ends = new Map<string, Promise<Uint8Array | undefined>>();

  constructor(private readonly source: Source) {}

  get(key: AbsolutePath, options?: GetOptions): Promise<Uint8Array | undefined> {
    return this.source.get(key, options);
  }

  getRange(key: AbsolutePath, range: RangeQuery, options?: GetOptions): Promise<Uint8Array | undefined> {
    if ("suffixLength" in range) return this.end(key, range.suffixLength);
    const { offset, length } = range;
    const signal = options?.signal;
    return new Promise((resolve, reject) => {
      if (this.waiting.size === 0) setTimeout(() => this.flush(), WAIT_MS);
      const wanted = this.waiting.get(key) ?? [];
      wanted.push({ offset, length, signal, resolve, reject });
      this.waiting.set(key, wanted);
    });
  }

  /** Return the end of an object: an index, which is small, wanted by all chunks of a shard, and so not given up. */
  private end(key: AbsolutePath, suffixLength: number): Promise<Uint8Array | undefined> {
    const name = `${key} ${suffixLength}`;
    const known = this.ends.get(name) ?? this.source.getRange(key, { suffixLength });
    this.ends.set(name, known);
    known.catch(() => this.ends.delete(name));
    return known;
  }

  private flush(): void {
    const all = [...this.waiting];
    this.waiting.clear();
    for (const [key, wanted] of all) {
      for (const item of wanted.filter(isGivenUp)) item.reject(item.signal?.reason);
      const left = wanted.filter((item) => !isGivenUp(item));
      for (const group of groups(left)) void this.fetchGroup(key, group);
    }
  }

  private async fetchGroup(key: AbsolutePath, group: readonly Wanted[]): Promise<void> {
    const start = Math.min(...group.map((item) => item.offset));
    const end = Math.max(...group.map((item) => item.offset + item.length));
    const controller = new AbortController();
    for (const item of group) {
      item.signal?.addEventListener("abort", () => {
        item.reject(item.signal?.reason);
        if (group.every(isGivenUp)) controller.abort();
      });
    }
    try {
      const range = { offset: start, length: end - start };
      const bytes = await this.source.getRange(key, range, { signal: controller.signal });
      for (const { offset, length, resolve } of group) {
        resolve(bytes?.subarray(offset - start, offset - start + length));
      }
    } catch (error) {
      for (const item of group) item.reject(error);
    }
  }
}

function isGivenUp(item: Wanted): boolean {
  return item.signal?.aborted === true;
}

/** Put ranges that lie close together into groups, each at most `LONGEST_BYTES` long unless one range is longer. */
export function groups<Range extends { readonly offset: number; readonly length: number }>(
  ranges: readonly Range[],
): Range[][] {
  const sorted = [...ranges].sort((a, b) => a.offset - b.offset);
  const found: Range[][] = [];
  let start = 0;
  let end = Number.NEGATIVE_INFINITY;
  for (const range of sorted) {
    const stop = Math.max(end, range.offset + range.length);
    if (range.offset <= end + GAP_BYTES && stop - start <= LONGEST_BYTES) {
      found.at(-1)?.push(range);
      end = stop;
    } else {
      found.push([range]);
      start = range.offset;
      end = range.offset + range.length;
    }
  }
  return found;
}
