/** What is computed of numbers alone: histograms, queries, nearest places, minima, ranges. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { groups } from "../src/core/coalesce.js";
import { combine, histogram, quantile, train } from "../src/core/index.js";
import { minimise } from "../src/core/minimise.js";
import { Best } from "../src/core/nearest.js";
import { intersection, paste, within } from "../src/core/windows.js";
import { assertClose } from "./close.js";

/** Return reproducible numbers in [0, 1) (a linear congruential generator). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

test("a histogram counts every score once, and NaN never", () => {
  const next = random(1);
  const scores = Float32Array.from({ length: 1000 }, () => (next() < 0.1 ? Number.NaN : next()));
  const counted = histogram([scores, scores], 10);
  assert.equal(counted.n, 2 * scores.filter((score) => !Number.isNaN(score)).length);
  assert.equal(counted.counts.reduce((sum, count) => sum + count, 0), counted.n);
  const median = quantile(counted, 0.5);
  const below = scores.filter((score) => score < median).length / (counted.n / 2);
  assert.ok(Math.abs(below - 0.5) < 0.02, `${below} below the median`);
  assert.ok(Number.isNaN(quantile(histogram(new Float32Array([Number.NaN])), 0.5)));
  assert.equal(quantile(histogram(new Float32Array([2, 2])), 0.5), 2);
});

test("one example is the query; several are their mean, of equal weight for cosines", () => {
  const [long, short] = [new Float32Array([10, 0]), new Float32Array([0, 0.1])];
  assert.deepEqual([...combine("cosine", { for: [long] }).vector], [10, 0]);
  assertClose(combine("cosine", { for: [long, short] }).vector, [0.5, 0.5], 1e-7, "for two");
  assertClose(combine("cosine", { for: [long], against: [short] }).vector, [1, -1], 1e-7, "against one");
  assertClose(combine("euclidean", { for: [long, short] }).vector, [5, 0.05], 1e-6, "as they are");
  assert.throws(() => combine("cosine", { for: [] }), /at least one/);
});

test("of equal scores the first place in the order of rows and columns comes first", () => {
  const best = new Best(3, "cosine");
  best.takeAll(new Float32Array([0.5, 0.9, 0.9, Number.NaN]), { row: 4, col: 2, height: 2, width: 2 });
  best.takeAll(new Float32Array([0.9, 0.2]), { row: 0, col: 7, height: 1, width: 2 });
  const places = best.places.map(({ row, col }) => [row, col]);
  assert.deepEqual(places, [[0, 7], [4, 3], [5, 2]]);
  const nearest = new Best(1, "euclidean");
  nearest.takeAll(new Float32Array([3, 1, 2]), { row: 0, col: 0, height: 1, width: 3 });
  assert.deepEqual(nearest.places, [{ row: 0, col: 1, score: 1 }]);
});

test("the minimum of Rosenbrock's valley is found", () => {
  const found = minimise(([x = 0, y = 0], gradient) => {
    gradient[0] = -2 * (1 - x) - 400 * x * (y - x * x);
    gradient[1] = 200 * (y - x * x);
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2;
  }, new Float64Array([-1.2, 1]));
  assertClose(found, [1, 1], 1e-5, "minimum");
});

test("training again gives the same model to the last bit, and the order of classes is fixed", () => {
  const next = random(2);
  const vectors = Array.from({ length: 40 }, () => Float32Array.from({ length: 5 }, next));
  const labels = vectors.map(([first = 0]) => (first > 0.6 ? "water" : first > 0.3 ? "field" : "town"));
  const [one, other] = [train(vectors, labels), train(vectors, labels)];
  assert.deepEqual(one, other);
  assert.deepEqual(one.classes, ["field", "town", "water"]);
  assert.throws(() => train(vectors, labels.map(() => "water")), /another class/);
});

test("ranges that lie close are one request, others are not, and none is too long", () => {
  const MIB = 1024 * 1024;
  const ranges = [0, 1, 3, 4, 60].map((place) => ({ offset: place * MIB, length: MIB }));
  const offsets = groups(ranges.reverse()).map((group) => group.map(({ offset }) => offset / MIB));
  assert.deepEqual(offsets, [[0, 1], [3, 4], [60]]);
  const near = [{ offset: 0, length: 10 }, { offset: 100_000, length: 10 }];
  assert.equal(groups(near).length, 1);
  const many = Array.from({ length: 40 }, (_, place) => ({ offset: place * MIB, length: MIB }));
  assert.deepEqual(groups(many).map((group) => group.length), [16, 16, 8]);
});

test("pasting the cells of a grid gives the rectangle back", () => {
  const whole = { row: 0, col: 0, height: 7, width: 9 };
  const numbers = Float32Array.from({ length: 63 }, (_, i) => i);
  const window = { row: 2, col: 1, height: 4, width: 7 };
  const found = new Float32Array(28).fill(-1);
  for (const [row, col] of within(window, [3, 4])) {
    const cell = { row: row * 3, col: col * 4, height: 3, width: 4 };
    const part = new Float32Array(12).fill(-2);
    paste(numbers, whole, part, cell);
    paste(part, cell, found, intersection(window, window) ?? window);
  }
  const expected = Array.from(found, (_, i) => (2 + Math.floor(i / 7)) * 9 + 1 + (i % 7));
  assert.deepEqual([...found], expected);
});
