/** Overviews are found by what the root says of them, and read with the store's one Encoding. */

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Level, type Store, centreOf, codeBytes, createEngine, levelFor, openStore, pixelAt } from "../src/core/index.js";
import { type Served, serve } from "./serve.js";

const GOLDEN = join(process.env["GEOEMBZ_VECTORS"] ?? "../../spec/vectors", "0.2", "overviews", "int8-plain.zarr");

interface Entry {
  readonly transform: { readonly scale: readonly [number, number] };
  readonly "spatial:shape": readonly [number, number];
  readonly "spatial:transform": readonly number[];
}

const { attributes } = JSON.parse(readFileSync(join(GOLDEN, "zarr.json"), "utf8"));
const layout: readonly Entry[] = attributes.multiscales.layout;

const folder = mkdtempSync(join(tmpdir(), "geoembz-view-"));
let served: Served;
let store: Store;
let half: Level;

before(async () => {
  cpSync(GOLDEN, join(folder, "store.zarr"), { recursive: true });
  served = await serve(folder);
  store = await openStore(`${served.url}/store.zarr`);
  half = store.grids[0]?.levels[1] as Level;
});
after(async () => {
  await served.close();
  rmSync(folder, { recursive: true });
});

test("levels are listed, full resolution first, with shapes and places of their own", () => {
  const levels = store.grids[0]?.levels ?? [];
  const found = levels.map(({ factor, height, width, transform }) => [factor, [height, width], transform]);
  assert.deepEqual(found, layout.map((entry) => [entry.transform.scale[0], entry["spatial:shape"], entry["spatial:transform"]]));
  assert.deepEqual(levels[0]?.bbox, attributes["spatial:bbox"]);
});

test("a window that reaches beyond the level is invalid there", async () => {
  const engine = createEngine(store, { workers: 0 });
  const { height, width } = half;
  const inside = await engine.codes({ grid: 0, level: 1, row: 0, col: 0, height, width });
  const wide = width + 6;
  const { valid } = await engine.codes({ grid: 0, level: 1, row: -2, col: -3, height: height + 5, width: wide });
  const expected = Array.from(valid, (_, p) => {
    const [row, col] = [Math.floor(p / wide) - 2, (p % wide) - 3];
    return row >= 0 && row < height && col >= 0 && col < width ? inside.valid[row * width + col] : 0;
  });
  assert.deepEqual([...valid], expected);
  assert.ok(expected.includes(1));
});

test("a lost object of a level is found by the level's digests", async () => {
  renameSync(join(folder, "store.zarr", "overviews", "2", "embedding", "c"), join(folder, "away"));
  const engine = createEngine(store, { workers: 0 });
  const { height, width } = half;
  await assert.rejects(engine.codes({ grid: 0, level: 1, row: 0, col: 0, height, width }), /verify/);
  renameSync(join(folder, "away"), join(folder, "store.zarr", "overviews", "2", "embedding", "c"));
});

test("the level for a screen is the coarsest that is fine enough", () => {
  const [grid] = store.grids;
  assert.ok(grid !== undefined);
  const side = attributes["spatial:transform"][0] as number;
  const found = [0.1, 1, 1.9, 2, 3.9, 4, 500].map((sides) => levelFor(grid, sides * side));
  assert.deepEqual(found, [0, 0, 0, 1, 1, 2, 2]);
});

test("codes of a window are those of the chunks that it touches, as far as the level goes", () => {
  const level = { ...half, height: 100, width: 70, chunk: [32, 32] as const };
  const perPixel = level.arrays.embedding.shape.at(-3) as number; // int8
  const bytes = (row: number, col: number, height: number, width: number) =>
    codeBytes(level, { row, col, height, width }) / perPixel;
  assert.equal(bytes(0, 0, 100, 70), 100 * 70);
  assert.equal(bytes(-50, -50, 300, 300), 100 * 70);
  assert.equal(bytes(31, 5, 2, 1), 64 * 32);
  assert.equal(bytes(97, 65, 1, 1), 4 * 6);
  assert.equal(bytes(100, 0, 5, 5), 0);
});

test("the centre of a pixel lies in it", () => {
  for (const level of store.grids[0]?.levels ?? []) {
    const [row, col] = [level.height - 1, 0];
    assert.deepEqual(pixelAt(level, ...centreOf(level, row, col)), { row, col });
    assert.equal(pixelAt(level, ...centreOf(level, row + 1, col)), null);
  }
});
