/** Overviews are found by what the root says of them, and read with the store's one Encoding. */

import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Store, centreOf, createEngine, levelFor, openStore, pixelAt } from "../src/core/index.js";
import { assertClose } from "./close.js";
import { readNpy } from "./npy.js";
import { type Served, serve } from "./serve.js";

const GOLDEN = join(process.env["GEOEMBZ_VECTORS"] ?? "../../spec/vectors", "0.2", "stores", "int4-plain");
const [HEIGHT, WIDTH] = [9, 12]; // a level of half of it has the golden store's 5 x 6 pixels

const golden: Record<string, unknown> = JSON.parse(readFileSync(join(`${GOLDEN}.zarr`, "zarr.json"), "utf8")).attributes;

const folder = mkdtempSync(join(tmpdir(), "geoembz-view-"));
let served: Served;
let store: Store;

before(async () => {
  writeStore(join(folder, "store.zarr"));
  served = await serve(folder);
  store = await openStore(`${served.url}/store.zarr`);
});
after(async () => {
  await served.close();
  rmSync(folder, { recursive: true });
});

type Document = Record<string, unknown> & { shape: number[] };

/** Make the golden store the overview of another one, which has no valid pixel. */
function writeStore(path: string): void {
  cpSync(`${GOLDEN}.zarr`, path, { recursive: true });
  const root = JSON.parse(readFileSync(join(path, "zarr.json"), "utf8"));
  const { attributes } = root;
  const metadata: Record<string, Document> = root.consolidated_metadata.metadata;
  mkdirSync(join(path, "overviews", "2"), { recursive: true });
  for (const name of ["embedding", "valid"]) {
    const document = metadata[name] as Document;
    metadata[`overviews/2/${name}`] = document;
    metadata[name] = { ...document, shape: [...document.shape.slice(0, -2), HEIGHT, WIDTH] };
    metadata[`digests/overviews/2/${name}`] = metadata[`digests/${name}`] as Document;
    delete metadata[`digests/${name}`];
    renameSync(join(path, name), join(path, "overviews", "2", name));
    mkdirSync(join(path, "digests", "overviews", "2"), { recursive: true });
    renameSync(join(path, "digests", name), join(path, "digests", "overviews", "2", name));
  }
  const [a, b, c, d, e, f] = attributes["spatial:transform"];
  const full = { "spatial:shape": [HEIGHT, WIDTH], "spatial:transform": [a / 2, b, c, d, e / 2, f] };
  const half = { "spatial:shape": [5, 6], "spatial:transform": [a, b, c, d, e, f] };
  const entry = (asset: string, factor: number, spatial: object): object => {
    return { asset, transform: { scale: [factor, factor], translation: [0, 0] }, ...spatial };
  };
  Object.assign(attributes, full, {
    multiscales: { layout: [entry("embedding", 1, full), entry("overviews/2", 2, half)], resampling_method: "average" },
  });
  writeFileSync(join(path, "zarr.json"), JSON.stringify(root));
}

test("levels are listed, full resolution first, with shapes and places of their own", () => {
  const levels = store.grids[0]?.levels ?? [];
  assert.deepEqual(levels.map(({ index, factor, height, width }) => [index, factor, height, width]), [[0, 1, 9, 12], [1, 2, 5, 6]]);
  const [full, half] = levels;
  const [xmin, ymin, xmax, ymax] = golden["spatial:bbox"] as [number, number, number, number];
  assert.deepEqual(half?.bbox, [xmin, ymin, xmax, ymax]);
  const rows = (ymax - ymin) / 5;
  assertClose(full?.bbox ?? [], [xmin, ymax - rows * 4.5, xmax, ymax], 1e-9, "nine half rows");
});

test("a level's codes are those stored for it; the full resolution has its own", async () => {
  const engine = createEngine(store, { workers: 0 });
  const window = { grid: 0, level: 1, row: 0, col: 0, height: 5, width: 6 };
  assertClose((await engine.codes(window)).codes, readNpy(`${GOLDEN}.codes.npy`).data, 0, "codes of the level");
  const full = await engine.codes({ ...window, level: 0, height: HEIGHT, width: WIDTH });
  assert.ok(full.valid.every((flag) => flag === 0));
});

test("a window that reaches beyond the level is invalid there", async () => {
  const engine = createEngine(store, { workers: 0 });
  const inside = await engine.codes({ grid: 0, level: 1, row: 0, col: 0, height: 5, width: 6 });
  const { valid } = await engine.codes({ grid: 0, level: 1, row: -2, col: -3, height: 10, width: 12 });
  const expected = Array.from(valid, (_, p) => {
    const [row, col] = [Math.floor(p / 12) - 2, (p % 12) - 3];
    return row >= 0 && row < 5 && col >= 0 && col < 6 ? inside.valid[row * 6 + col] : 0;
  });
  assert.deepEqual([...valid], expected);
});

test("a lost object of a level is found by the level's digests", async () => {
  renameSync(join(folder, "store.zarr", "overviews", "2", "embedding", "c"), join(folder, "away"));
  const engine = createEngine(store, { workers: 0 });
  await assert.rejects(engine.codes({ grid: 0, level: 1, row: 0, col: 0, height: 5, width: 6 }), /verify/);
  renameSync(join(folder, "away"), join(folder, "store.zarr", "overviews", "2", "embedding", "c"));
});

test("the level for a screen is the coarsest that is fine enough", () => {
  const [grid] = store.grids;
  assert.ok(grid !== undefined);
  const side = (golden["spatial:transform"] as number[])[0] ?? 0;
  assert.deepEqual([0.1, 0.5, 0.99, 1, 50].map((sides) => levelFor(grid, sides * side)), [0, 0, 0, 1, 1]);
});

test("the centre of a pixel lies in it", () => {
  for (const level of store.grids[0]?.levels ?? []) {
    assert.deepEqual(pixelAt(level, ...centreOf(level, 3, 5)), { row: 3, col: 5 });
    assert.equal(pixelAt(level, ...centreOf(level, -1, 5)), null);
  }
});
