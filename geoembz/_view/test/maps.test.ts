/** Maps say what Python wrote of them, and their values are those that Python reads (tests/view/cases.py). */

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { MapReader, ViewerError, openMap, openStore } from "../src/core/index.js";
import { assertClose } from "./close.js";
import { readNpy } from "./npy.js";
import { type Served, serve } from "./serve.js";

interface MapCase {
  readonly map: string;
  readonly kind: string;
  readonly bands: readonly string[];
  readonly classes: readonly { value: number; name: string; colour: string; pixels: number }[];
  readonly shown: readonly number[];
  readonly stretch: readonly (readonly [number, number] | null)[];
  readonly valid_pixels: number;
  readonly levels: readonly { factor: number; values: string }[];
}

const FOLDER = process.env["GEOEMBZ_VIEW_CASES"];
const cases: MapCase[] = FOLDER === undefined ? [] : JSON.parse(readFileSync(join(FOLDER, "index.json"), "utf8")).maps;
const skip = FOLDER === undefined ? "tests/view/test_core.py makes the maps, and runs this" : false;

let served: Served;
before(async () => {
  served = await serve(FOLDER ?? ".");
});
after(() => served.close());

test("there are maps that Python made", { skip }, () => assert.ok(cases.length > 0));

for (const { map: name, ...expected } of cases) {
  test(`${name}: kind, bands, classes, stretch and place are those of Python`, async () => {
    const map = await openMap(`${served.url}/${name}`);
    assert.equal(map.kind, expected.kind);
    assert.deepEqual(map.bands.map((band) => band.name), expected.bands);
    assert.deepEqual(map.shown, expected.shown);
    assert.equal(map.validPixels, expected.valid_pixels);
    const colour = (parts: readonly number[]) => `#${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
    assert.deepEqual(map.classes.map((each) => ({ ...each, colour: colour(each.colour) })), expected.classes);
    expected.stretch.forEach((ends, i) => assertClose([map.bands[i]!.low, map.bands[i]!.high], ends ?? [0, 1], 1e-12, name));
    assert.deepEqual(map.raster.levels.map(({ factor }) => factor), expected.levels.map(({ factor }) => factor));
    assert.equal(map.raster.crs.code, "EPSG:32632");
  });

  test(`${name}: values of each band and level are those of Python, whole and by windows`, async () => {
    const map = await openMap(`${served.url}/${name}`);
    const reader = new MapReader(map);
    for (const [level, { height, width }] of map.raster.levels.entries()) {
      const all = Float32Array.from(readNpy(join(FOLDER ?? ".", expected.levels[level]!.values)).data);
      for (const band of map.bands.keys()) {
        const whole = all.subarray(band * height * width, (band + 1) * height * width);
        const found = await reader.values(level, band, { row: 0, col: 0, height, width });
        assertClose(found, whole, 1e-6, `${name}, level ${level}, band ${band}`);
        const [row, col] = [height >> 1, width >> 1];
        const part = await reader.values(level, band, { row, col, height: 256, width: 256 });
        assertClose([part[0]!, part.at(-1)!], [whole[row * width + col]!, outside(row, col, height, width, whole)], 1e-6, name);
      }
    }
    const { requests } = reader.traffic;
    await reader.values(0, 0, { row: 0, col: 0, height: 8, width: 8 });
    assert.equal(reader.traffic.requests, requests, "what was read is kept");
  });
}

/** The last pixel of a window of 256 x 256 from the middle: NaN beyond the edge. */
function outside(row: number, col: number, height: number, width: number, whole: Float32Array): number {
  const [last, right] = [row + 255, col + 255];
  return last < height && right < width ? whole[last * width + right]! : Number.NaN;
}

test("a map is no store, and a store no map: each says what it is", { skip }, async () => {
  await assert.rejects(openStore(`${served.url}/${cases[0]!.map}`), /is a map that `geoembz map` made.*\?map=/);
  await assert.rejects(openMap(`${served.url}/pca8-int8.zarr`), /this is no map/);
});

test("damaged metadata of a map are told", { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "geoembz-map-"));
  const damaged = join(folder, "m.zarr", "zarr.json");
  cpSync(join(FOLDER ?? ".", cases[0]!.map), join(folder, "m.zarr"), { recursive: true });
  const document = JSON.parse(readFileSync(damaged, "utf8"));
  const here = await serve(folder);
  const opened = (change: (attributes: Record<string, any>) => void) => {
    const copy = structuredClone(document);
    change(copy.attributes);
    writeFileSync(damaged, JSON.stringify(copy));
    return openMap(`${here.url}/m.zarr`);
  };
  await assert.rejects(opened((a) => { a["geoembz:map"].scale = "1"; }), ViewerError);
  await assert.rejects(opened((a) => { a["geoembz:map"].bands.push("another"); }), /expected 2 x 40 x 56|damaged/);
  await assert.rejects(opened((a) => { a["geoembz:map"].shown = [9]; }), /an integer from 1 to 1/);
  await assert.rejects(opened((a) => { a["spatial:shape"] = [41, 56]; }), /expected|damaged/);
  assert.equal((await opened((a) => { delete a["geoembz:map"].stretch; })).bands[0]!.high, 1);
  await here.close();
  rmSync(folder, { recursive: true });
});
