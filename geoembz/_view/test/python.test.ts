/** Scores, classes and changes are those that Python computes of the same stores (tests/view/cases.py). */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Engine, type Metric, NO_CLASS, createEngine, largerIsNearer, openStore, train } from "../src/core/index.js";
import { assertClose } from "./close.js";
import { readNpy } from "./npy.js";
import { type Served, serve } from "./serve.js";

/** Of scores, by issue 15; of probabilities it is scikit-learn's own tolerance that counts. */
const TOLERANCE = 1e-3;
const NEAREST = 25;

interface Model {
  readonly rows: readonly number[];
  readonly cols: readonly number[];
  readonly labels: readonly string[];
  readonly probabilities: string;
}

interface StoreCase {
  readonly store: string;
  readonly query: string;
  readonly original: string;
  readonly scores: Readonly<Record<string, string>>;
  readonly models: readonly Model[];
  readonly prefix: { readonly components: number; readonly cosine: string } | null;
}

interface ChangeCase {
  readonly store: string;
  readonly cosine: string;
  readonly euclidean: string;
}

interface LevelsCase {
  readonly store: string;
  /** Of each level, full resolution first. */
  readonly codes: readonly string[];
}

const FOLDER = process.env["GEOEMBZ_VIEW_CASES"];
const cases: { stores: StoreCase[]; changes: ChangeCase[]; levels: LevelsCase[]; starts: string[] } =
  FOLDER === undefined ? { stores: [], changes: [], levels: [], starts: [] } : JSON.parse(readFileSync(join(FOLDER, "index.json"), "utf8"));

let served: Served;
before(async () => {
  served = await serve(FOLDER ?? ".");
});
after(() => served.close());

const skip = FOLDER === undefined ? "tests/view/test_core.py makes the stores, and runs this" : false;
test("there are stores that Python made", { skip }, () => assert.ok(cases.stores.length > 0));

async function open(name: string): Promise<{ engine: Engine; window: Parameters<Engine["scores"]>[0] }> {
  const store = await openStore(`${served.url}/${name}`);
  const { height = 0, width = 0 } = store.grids[0]?.levels[0] ?? {};
  const engine = createEngine(store, { workers: 0 });
  return { engine, window: { grid: 0, level: 0, row: 0, col: 0, height, width } };
}

function array(name: string): Float32Array {
  return Float32Array.from(readNpy(join(FOLDER ?? ".", name)).data);
}

for (const { store, query, original, scores, models, prefix } of cases.stores) {
  for (const [name, file] of Object.entries(scores)) {
    const metric = name as Metric;
    test(`${store}: ${metric} is that of geoembz.search`, async () => {
      const { engine, window } = await open(store);
      const expected = array(file);
      const question = { metric, vector: array(query) };
      assertClose(await engine.scores(window, question), expected, TOLERANCE, `${store} ${metric}`);
      const sign = largerIsNearer(metric) ? -1 : 1;
      const sorted = expected.filter((score) => !Number.isNaN(score)).sort((a, b) => sign * (a - b));
      const best = await engine.best(window, question, NEAREST);
      assertClose(best.map(({ score }) => score), sorted.slice(0, NEAREST), TOLERANCE, `${store} ${metric} nearest`);
    });
  }

  if (prefix !== null) {
    const { components, cosine } = prefix;
    test(`${store}: a first look by ${components} components is that of so many decoded ones, at whole ones' side`, async () => {
      const { engine, window } = await open(store);
      const question = { metric: "cosine", vector: array(query) } as const;
      const first = { ...question, components };
      assertClose(await engine.scores(window, first), array(cosine), TOLERANCE, `${store} first`);
      assertClose(await engine.scores(window, question), array(scores["cosine"] ?? ""), TOLERANCE, `${store} whole`);
      assertClose(await engine.scores(window, first), array(cosine), TOLERANCE, `${store} again`);
    });
  }

  test(`${store}: vectors at places are those of geoembz.open`, async () => {
    const { engine, window } = await open(store);
    const vectors = array(original);
    const n = window.height * window.width;
    const places = [3, 300, 333, 777, 2000, n - 1].map((p) => [Math.floor(p / window.width), p % window.width] as const);
    const found = await engine.vectors(places.map(([row, col]) => ({ grid: 0, level: 0, row, col })));
    places.forEach(([row, col], index) => {
      const expected = Float32Array.from({ length: vectors.length / n }, (_, d) => vectors[d * n + row * window.width + col] as number);
      if (Number.isNaN(expected[0])) assert.equal(found[index], null);
      else assertClose(found[index] ?? [], expected, 1e-5, `${store} at ${row}, ${col}`);
    });
  });

  for (const model of models) {
    test(`${store}: classes are those of scikit-learn's ${new Set(model.labels).size} on decoded vectors`, async () => {
      const { engine, window } = await open(store);
      const places = model.rows.map((row, i) => ({ grid: 0, level: 0, row, col: model.cols[i] ?? 0 }));
      const vectors = (await engine.vectors(places)) as Float32Array[];
      const { labels, confidence } = await engine.classes(window, train(vectors, model.labels));
      compareClasses(labels, confidence, array(model.probabilities), store);
    });
  }
}

/** Labels must agree wherever the two most probable classes are further apart than the tolerance. */
function compareClasses(labels: Uint8Array, confidence: Float32Array, expected: Float32Array, what: string): void {
  const n = labels.length;
  for (let p = 0; p < n; p += 1) {
    const column = Array.from({ length: expected.length / n }, (_, c) => expected[c * n + p] as number);
    if (Number.isNaN(column[0])) {
      assert.equal(labels[p], NO_CLASS);
      assert.ok(Number.isNaN(confidence[p]));
      continue;
    }
    const most = Math.max(...column);
    assert.ok(Math.abs((confidence[p] as number) - most) <= TOLERANCE, `${what}: ${confidence[p]} at ${p}; expected ${most}`);
    assert.ok(most - (column[labels[p] as number] as number) <= TOLERANCE, `${what}: class ${labels[p]} at ${p} of ${column}`);
  }
}

for (const { store, ...files } of cases.changes) {
  for (const metric of ["cosine", "euclidean"] as const) {
    test(`${store}: change by ${metric} is that of decoded vectors`, async () => {
      const { engine, window } = await open(store);
      assertClose(await engine.change(window, 0, 1, metric), array(files[metric]), TOLERANCE, `${store} ${metric}`);
    });
  }
}

for (const { store: name, codes } of cases.levels) {
  test(`${name}: the levels that geoembz.overviews wrote are those stored`, async () => {
    const store = await openStore(`${served.url}/${name}`);
    const levels = store.grids[0]?.levels ?? [];
    assert.equal(levels.length, codes.length);
    const engine = createEngine(store, { workers: 0 });
    for (const { index, factor, height, width } of levels) {
      assert.equal(factor, 2 ** index);
      const found = await engine.codes({ grid: 0, level: index, row: 0, col: 0, height, width });
      assertClose(found.codes, array(codes[index] ?? ""), 0, `${name}, level ${index}`);
      assert.ok(found.valid.includes(1));
    }
  });
}

for (const name of cases.starts) {
  test(`${name}: a picture of the first components reads the starts of chunks, and whole chunks where those are at hand`, async () => {
    const { engine: whole, window } = await open(name);
    await whole.codes(window);
    const before = whole.stats();
    const expected = await whole.components(window, [0, 1, 2]);
    assert.deepEqual(whole.stats(), before);
    const { engine } = await open(name);
    const { bytes: opened } = engine.stats();
    const found = await engine.components(window, [0, 1, 2]);
    assertClose(found.values, expected.values, 0, name);
    assert.deepEqual(found.valid, expected.valid);
    const { bytes } = engine.stats();
    assert.ok(bytes - opened < 0.5 * (before.bytes - opened), `${bytes - opened} of ${before.bytes - opened} bytes`);
    const rest = await engine.components(window, [39]);
    assertClose(rest.values, (await whole.components(window, [39])).values, 0, `${name}, the last component`);
  });
}
