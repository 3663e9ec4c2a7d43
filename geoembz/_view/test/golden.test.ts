/** Stores of spec/vectors decode to what the specification says, to the last bit that it fixes. */

import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Grid, type Level, type Store, createEngine, openStore } from "../src/core/index.js";
import { Dequantizer, original } from "../src/core/decode.js";
import { reduced } from "../src/core/reduced.js";
import type { Codes, Encoding } from "../src/core/encoding.js";
import { assertClose } from "./close.js";
import { type Numbers, readNpy } from "./npy.js";
import { type Served, serve } from "./serve.js";

const VECTORS = process.env["GEOEMBZ_VECTORS"] ?? "../../spec/vectors";
const TOLERANCE = 1e-5;

let served: Served;
before(async () => {
  served = await serve(VECTORS);
});
after(() => served.close());

function storesIn(kind: string): string[] {
  return readdirSync(VECTORS)
    .filter((version) => existsSync(join(VECTORS, version, kind)))
    .flatMap((version) => readdirSync(join(VECTORS, version, kind)).map((name) => join(version, kind, name)))
    .filter((name) => name.endsWith(".zarr"));
}

/** Compare one date of a level with its views, whose first axis are the dates, if any. */
function compareViews(
  encoding: Encoding,
  { codes, valid }: { codes: Codes; valid: Uint8Array },
  views: string,
  date: number,
): void {
  const n = valid.length;
  const slice = (view: Numbers, rows: number): ArrayLike<number> =>
    Array.prototype.slice.call(view.data, date * rows * n, (date + 1) * rows * n) as number[];
  assertClose(codes, slice(readNpy(`${views}.codes.npy`), encoding.codeLength), 0, `${views} codes`);
  const dequantizer = new Dequantizer(encoding);
  const decode: Record<string, (z: Float32Array) => Float32Array> = {
    original: (z) => original(encoding, z),
    reduced: (z) => reduced(encoding, z),
    whitened: (z) => reduced(encoding, z, 1),
  };
  for (const [view, decoded] of Object.entries(decode)) {
    const path = `${views}.${view}.npy`;
    if (!existsSync(path)) continue;
    const vectors = Array.from(valid, (_, p) => decoded(dequantizer.pixel(codes, n, p)));
    const rows = vectors[0]?.length ?? 0;
    const found = Array.from({ length: rows * n }, (_, i) =>
      valid[i % n] === 1 ? (vectors[i % n]?.[Math.floor(i / n)] as number) : Number.NaN,
    );
    assertClose(found, slice(readNpy(path), rows), TOLERANCE, `${views} ${view}`);
  }
}

/** Compare all dates of one level with its views; those of overviews have the level's factor in their name. */
async function compareLevel(store: Store, index: number, level: Level, views: string): Promise<void> {
  const engine = createEngine(store, { workers: 0 });
  const grid = store.grids[index] as Grid;
  const dates = grid.dates.length > 0 ? grid.dates.map((_, date) => date) : [undefined];
  for (const date of dates) {
    const window = { grid: index, level: level.index, row: 0, col: 0, height: level.height, width: level.width };
    const read = await engine.codes(date === undefined ? window : { ...window, date });
    compareViews(store.encoding, read, views, grid.datePositions[date ?? 0] ?? 0);
  }
}

for (const kind of ["stores", "times", "layers", "grids", "overviews"]) {
  const names = storesIn(kind);
  test(`there are golden ${kind}`, () => assert.ok(names.length > 0));
  for (const name of names) {
    test(`${name} decodes as the specification says`, async () => {
      const store = await openStore(`${served.url}/${name}`);
      const views = join(VECTORS, name.replace(/\.zarr$/, ""));
      for (const [index, grid] of store.grids.entries()) {
        const levels = kind === "overviews" ? grid.levels.slice(1) : grid.levels;
        assert.ok(levels.length > 0);
        for (const level of levels) {
          const suffix = kind === "overviews" ? String(level.factor) : grid.name;
          await compareLevel(store, index, level, suffix === "" ? views : `${views}.${suffix}`);
        }
      }
    });
  }
}
