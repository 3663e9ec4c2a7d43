/** What goes wrong on the way is said in sentences; nothing is taken for codes that is not. */

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ViewerError, type ViewerErrorKind, createEngine, isAbort, openStore } from "../src/core/index.js";
import { errorData, errorOf } from "../src/core/errors.js";
import { type Behaviour, type Served, serve } from "./serve.js";

const STORE = join(process.env["GEOEMBZ_VECTORS"] ?? "../../spec/vectors", "0.2", "stores", "int4-plain.zarr");
const WINDOW = { grid: 0, level: 0, row: 0, col: 0, height: 5, width: 6 };

const folder = mkdtempSync(join(tmpdir(), "geoembz-view-"));
after(() => rmSync(folder, { recursive: true }));

/** Serve a copy of the golden store, changed, for the time of `use`. */
async function withStore(
  change: (store: string) => void,
  use: (url: string, served: Served) => Promise<void>,
  behaviour: Behaviour = {},
): Promise<void> {
  const store = join(mkdtempSync(join(folder, "case-")), "store.zarr");
  cpSync(STORE, store, { recursive: true });
  change(store);
  const served = await serve(join(store, ".."), behaviour);
  try {
    await use(`${served.url}/store.zarr`, served);
  } finally {
    await served.close();
  }
}

function editRoot(edit: (document: Record<string, never>) => void): (store: string) => void {
  return (store) => {
    const path = join(store, "zarr.json");
    const document = JSON.parse(readFileSync(path, "utf8"));
    edit(document);
    writeFileSync(path, JSON.stringify(document));
  };
}

function unchanged(): void {}

async function fails(reading: Promise<unknown>, kind: ViewerErrorKind, saying: RegExp): Promise<void> {
  await assert.rejects(reading, (error: unknown) => {
    assert.ok(error instanceof ViewerError, String(error));
    assert.equal(error.kind, kind, error.message);
    assert.match(error.message, saying);
    return true;
  });
}

test("a server that cannot be reached, and CORS, which looks the same", () =>
  fails(openStore("http://127.0.0.1:9/store.zarr"), "unreachable", /CORS/));

test("no store at the address", () =>
  withStore(unchanged, (url) => fails(openStore(`${url}/nothing`), "not-found", /folder/)));

test("a store that only others may read", () =>
  withStore(unchanged, (url) => fails(openStore(url), "forbidden", /credentials/), { answers: { "zarr.json": 401 } }));

test("a server in trouble", () =>
  withStore(unchanged, (url) => fails(openStore(url), "server", /503/), { answers: { "zarr.json": 503 } }));

test("JSON that is none", () =>
  withStore((store) => writeFileSync(join(store, "zarr.json"), "<html>"), (url) => fails(openStore(url), "not-a-store", /no JSON/)));

const DOCUMENTS: [string, (attributes: Record<string, unknown>) => void, ViewerErrorKind, RegExp][] = [
  ["another Zarr group", (a) => (a["zarr_conventions"] = []), "not-a-store", /geoembz convert/],
  ["a later version", (a) => (a["geoembz:version"] = "7.0"), "unsupported-version", /7\.0.*0\.1 and 0\.2/],
  ["a table", (a) => (a["geoemb:type"] = "chip"), "unsupported-store", /table/],
  ["a hash that is not the encoding's", (a) => (a["geoembz:encoding_hash"] = "sha256:00"), "damaged", /hash.*sha256:00/],
  ["a shape that is not the array's", (a) => (a["spatial:shape"] = [50, 60]), "damaged", /50 x 60/],
  ["a transform that is none", (a) => (a["spatial:transform"] = [1, 2]), "damaged", /spatial:transform/],
];
for (const [what, edit, kind, saying] of DOCUMENTS) {
  test(`${what} is refused`, () =>
    withStore(editRoot((document) => edit(document["attributes"] ?? {})), (url) => fails(openStore(url), kind, saying)));
}

test("a server without ranges", () =>
  withStore(
    unchanged,
    async (url) => {
      const engine = createEngine(await openStore(url), { workers: 0 });
      await fails(engine.codes(WINDOW), "no-ranges", /Range/);
    },
    { ignoresRanges: true },
  ));

test("a server that does not count from the end is asked for lengths, after one try", () =>
  withStore(
    unchanged,
    async (url, served) => {
      const engine = createEngine(await openStore(url), { workers: 0 });
      await engine.codes({ ...WINDOW, height: 1, width: 1 });
      const tries = served.log.filter((line) => line.includes("bytes=-")).length;
      const { valid } = await engine.codes(WINDOW);
      assert.ok(valid.some((flag) => flag === 1));
      assert.ok(tries > 0 && served.log.filter((line) => line.includes("bytes=-")).length === tries);
    },
    { refusesSuffixes: true },
  ));

test("an object that was lost is no fill value", () =>
  withStore(
    (store) => rmSync(join(store, "embedding", "c"), { recursive: true }),
    async (url, served) => {
      const engine = createEngine(await openStore(url), { workers: 0 });
      await fails(engine.codes(WINDOW), "lost-object", /verify/);
      const corner = { ...WINDOW, row: 4, col: 4, height: 1, width: 2 }; // never stored, beside those that are lost
      assert.deepEqual([...(await engine.codes(corner)).valid], [0, 0]);
      assert.equal(served.log.filter((line) => line.includes("digests/embedding/c")).length, 1);
    },
  ));

test("an object that was never stored is invalid pixels, without a further look once that is known", () =>
  withStore(unchanged, async (url, served) => {
    const engine = createEngine(await openStore(url), { workers: 0 });
    const corner = { ...WINDOW, row: 4, col: 4, height: 1, width: 2 };
    assert.deepEqual([...(await engine.codes(corner)).valid], [0, 0]);
    const before = served.log.length;
    await engine.codes(corner);
    assert.equal(served.log.length, before);
  }));

for (const [what, key, at, saying] of [
  ["chunk", join("embedding", "c", "0", "0", "0"), 12, /embedding.*damaged|embedding.*cannot be read/],
  ["shard's index", join("embedding", "c", "0", "0", "0"), -30, /checksum/],
  ["array of the encoding", join("encoding", "projection", "c", "0", "0"), 20, /projection.*damaged|projection.*cannot be read/],
] as const) {
  test(`a damaged ${what} is found by its checksum`, () =>
    withStore(
      (store) => {
        const path = join(store, key);
        const bytes = readFileSync(path);
        const index = at < 0 ? bytes.length + at : at;
        bytes[index] = (bytes[index] ?? 0) ^ 0x10;
        writeFileSync(path, bytes);
      },
      (url) =>
        fails(
          openStore(url).then((store) => createEngine(store, { workers: 0 }).codes(WINDOW)),
          "damaged",
          saying,
        ),
    ));
}

test("documents are asked for anew, and ranges past the cache, which would let one run at a time", () =>
  withStore(unchanged, async (url) => {
    const modes = new Map<boolean, Set<string>>([[true, new Set()], [false, new Set()]]);
    const spy = (input: string, init?: RequestInit): Promise<Response> => {
      modes.get(init?.headers !== undefined)?.add(init?.cache ?? "default");
      return fetch(input, init);
    };
    await createEngine(await openStore(url, { fetch: spy }), { workers: 0, fetch: spy }).codes(WINDOW);
    assert.deepEqual(modes, new Map([[true, new Set(["no-store"])], [false, new Set(["no-cache"])]]));
  }));

test("who gives up does not take others along", () =>
  withStore(unchanged, async (url) => {
    const engine = createEngine(await openStore(url), { workers: 0 });
    const query = { metric: "cosine", vector: new Float32Array(8).fill(1) } as const;
    const controller = new AbortController();
    const given = engine.scores(WINDOW, query, controller.signal);
    const kept = engine.scores(WINDOW, query);
    controller.abort();
    await assert.rejects(given, isAbort);
    assert.ok((await kept).some((score) => !Number.isNaN(score)));
  }));

test("errors survive the way out of a worker", () => {
  const error = new ViewerError("lost-object", "https://host/a.zarr", "it is gone");
  const copy = errorOf(structuredClone(errorData(error)));
  assert.ok(copy instanceof ViewerError);
  assert.deepEqual([copy.kind, copy.url, copy.message], [error.kind, error.url, error.message]);
  assert.ok(isAbort(errorOf(structuredClone(errorData(new DOMException("no", "AbortError"))))));
});
