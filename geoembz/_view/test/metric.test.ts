/** Names of metrics: what is read, what suits codes, and which comes first. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Encoding, createEngine, largerIsNearer, metricsFor, openStore } from "../src/core/index.js";
import { parseMetric, suits } from "../src/core/metric.js";
import { type Served, serve } from "./serve.js";

const STORES = join(process.env["GEOEMBZ_VECTORS"] ?? "../../spec/vectors", "0.2", "overviews");

let served: Served;
let encoding: Encoding;
before(async () => {
  served = await serve(STORES);
  encoding = (await openStore(`${served.url}/int8-plain.zarr`)).encoding;
});
after(() => served.close());

test("names are read as Python reads them", () => {
  assert.deepEqual(parseMetric("cosine"), { name: "cosine", whiten: 0 });
  assert.deepEqual(parseMetric("euclidean-w0.25"), { name: "euclidean", whiten: 0.25 });
  assert.deepEqual(parseMetric("dot-w.5"), { name: "dot", whiten: 0.5 });
  for (const none of ["cosines", "cosine-w", "cosine-w1.5", "hamming-w0.5", "Cosine", "cosine-w-1", ""]) {
    assert.equal(parseMetric(none), null, none);
  }
  assert.deepEqual(["dot-w0.5", "euclidean-w0.5", "hamming"].map((name) => largerIsNearer(name as "hamming")), [true, false, false]);
});

test("what a store recommends comes first, where it can be computed", () => {
  assert.deepEqual(metricsFor(encoding, "cosine-w0.5"), ["cosine-w0.5", "cosine", "dot", "euclidean"]);
  assert.deepEqual(metricsFor(encoding, "dot"), ["dot", "cosine", "euclidean"]);
  for (const other of [undefined, null, 3, "hamming", "manhattan"]) {
    assert.deepEqual(metricsFor(encoding, other), ["cosine", "dot", "euclidean"], String(other));
  }
});

test("a rotation alone has no weighed metric", async () => {
  const rotated = Object.create(encoding, { knowsVariance: { value: false } }) as Encoding;
  assert.ok(suits(rotated, "cosine") && !suits(rotated, "cosine-w0.5"));
  const engine = createEngine(await openStore(`${served.url}/int8-plain.zarr`), { workers: 0 });
  const window = { grid: 0, level: 0, row: 0, col: 0, height: 2, width: 2 };
  const vector = new Float32Array(encoding.dimension).fill(1);
  await assert.rejects(engine.scores(window, { metric: "hamming", vector }), /metric hamming does not suit/);
  await assert.rejects(engine.scores(window, { metric: "cosine-w3" as "cosine-w1", vector }), /metric cosine-w3 does not suit/);
});
