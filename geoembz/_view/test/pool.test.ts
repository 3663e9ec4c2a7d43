/** Workers answer as the same thread does, say what they fetch, and stop when asked to. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Worker as Thread } from "node:worker_threads";
import { type Store, ViewerError, createEngine, isAbort, openStore } from "../src/core/index.js";
import { type Behaviour, type Served, serve } from "./serve.js";

const STORES = join(process.env["GEOEMBZ_VECTORS"] ?? "../../spec/vectors", "0.2", "stores");
const WINDOW = { grid: 0, level: 0, row: 0, col: 0, height: 5, width: 6 };

/** Makes a thread of Node's look like a worker inside: messages come to `onmessage`. */
const INSIDE = `
  const { parentPort, workerData } = require("node:worker_threads");
  globalThis.postMessage = (message, transfer) => parentPort.postMessage(message, transfer);
  const waiting = [];
  parentPort.on("message", (data) => (globalThis.onmessage ? globalThis.onmessage({ data }) : waiting.push(data)));
  import(workerData).then(() => waiting.forEach((data) => globalThis.onmessage({ data })));
`;

/** A web worker by a thread of Node's: what `Pool` uses of it. */
class NodeWorker {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: ((event: { message: string }) => void) | null = null;
  private readonly thread: Thread;

  constructor(url: string | URL) {
    this.thread = new Thread(INSIDE, { eval: true, workerData: String(url) });
    this.thread.on("message", (data) => this.onmessage?.({ data }));
    this.thread.on("error", (error) => this.onerror?.({ message: error instanceof Error ? error.message : "" }));
  }

  postMessage(message: unknown): void {
    this.thread.postMessage(message);
  }

  terminate(): void {
    void this.thread.terminate();
  }
}

let served: Served;
const former = (globalThis as { Worker?: unknown }).Worker;
before(async () => {
  Object.assign(globalThis, { Worker: NodeWorker });
  served = await serve(STORES);
});
after(async () => {
  Object.assign(globalThis, { Worker: former });
  await served.close();
});

function workersOf(store: Store): ReturnType<typeof createEngine> {
  return createEngine(store, { workers: 2, workerUrl: new URL("worker.mjs", import.meta.url) });
}

async function withServer(behaviour: Behaviour, use: (url: string) => Promise<void>): Promise<void> {
  const other = await serve(STORES, behaviour);
  await use(other.url).finally(() => other.close());
}

for (const name of ["int4-plain.zarr", "pq-plain.zarr", "float16-plain.zarr"]) {
  test(`${name}: two workers give what one thread gives`, async () => {
    const store = await openStore(`${served.url}/${name}`);
    const [inline, pool] = [createEngine(store, { workers: 0 }), workersOf(store)];
    const query = { metric: "cosine", vector: new Float32Array(8).fill(0.5) } as const;
    assert.deepEqual(await pool.scores(WINDOW, query), await inline.scores(WINDOW, query));
    assert.deepEqual(await pool.components(WINDOW, [2, 0]), await inline.components(WINDOW, [2, 0]));
    assert.deepEqual(await pool.codes(WINDOW), await inline.codes(WINDOW));
    assert.deepEqual(await pool.best(WINDOW, query, 4), await inline.best(WINDOW, query, 4));
    const place = { grid: 0, level: 0, row: 1, col: 4 };
    assert.deepEqual(await pool.vectors([place]), await inline.vectors([place]));
    assert.deepEqual(pool.stats(), inline.stats());
    pool.close();
  });
}

test("an error in a worker comes out as it is", () =>
  withServer({ ignoresRanges: true }, async (url) => {
    const pool = workersOf(await openStore(`${url}/int4-plain.zarr`));
    await assert.rejects(pool.codes(WINDOW), (error: unknown) => error instanceof ViewerError && error.kind === "no-ranges");
    pool.close();
  }));

test("what is given up or closed ends as an abort", async () => {
  const store = await openStore(`${served.url}/int4-plain.zarr`);
  const pool = workersOf(store);
  const controller = new AbortController();
  const given = pool.codes(WINDOW, controller.signal);
  controller.abort();
  await assert.rejects(given, isAbort);
  await assert.rejects(pool.codes(WINDOW, controller.signal), isAbort);
  const closed = pool.codes(WINDOW);
  pool.close();
  await assert.rejects(closed, isAbort);
});

test("a worker that cannot be loaded says so", async () => {
  const store = await openStore(`${served.url}/int4-plain.zarr`);
  const pool = createEngine(store, { workers: 1, workerUrl: new URL("nothing.mjs", import.meta.url) });
  await assert.rejects(pool.codes(WINDOW), /worker does not run/);
  pool.close();
});
