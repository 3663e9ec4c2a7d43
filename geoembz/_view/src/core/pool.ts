/** Web workers that answer tasks: each stored object has its own, which keeps the object's index and codes. */

import type { Runner } from "./engine.js";
import { type ErrorData, ViewerError, errorOf } from "./errors.js";
import type { Traffic } from "./http.js";
import type { Answer, StoreData, Task } from "./tasks.js";

/** What a worker is told. */
export type ToWorker =
  | { readonly type: "open"; readonly store: StoreData; readonly cacheBytes: number }
  | { readonly type: "run"; readonly id: number; readonly task: Task }
  | { readonly type: "cancel"; readonly id: number };

/** What it says: an answer or an error, and what it has fetched so far. */
export interface FromWorker {
  readonly id: number;
  readonly traffic: Traffic;
  readonly answer?: Answer;
  readonly error?: ErrorData;
}

interface Waiting {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

export class Pool implements Runner {
  private readonly members: readonly Member[];

  constructor(store: StoreData, url: string | URL, count: number, cacheBytes: number) {
    this.members = Array.from({ length: count }, () => new Member(url, { type: "open", store, cacheBytes }));
  }

  run(task: Task, key: string, signal?: AbortSignal): Promise<Answer> {
    const member = this.members[hash(key) % this.members.length] as Member;
    return member.run(task, signal);
  }

  get traffic(): Traffic {
    const all = this.members.map((member) => member.traffic);
    const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
    return { requests: sum(all.map(({ requests }) => requests)), bytes: sum(all.map(({ bytes }) => bytes)) };
  }

  close(): void {
    for (const member of this.members) member.close();
  }
}

class Member {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Waiting>();
  private lastId = 0;
  traffic: Traffic = { requests: 0, bytes: 0 };

  constructor(url: string | URL, open: ToWorker) {
    this.worker = new Worker(url, { type: "module" });
    this.worker.onmessage = (event: MessageEvent<FromWorker>) => this.hear(event.data);
    this.worker.onerror = (event) => this.fail(url, event.message);
    this.worker.postMessage(open);
  }

  run(task: Task, signal: AbortSignal | undefined): Promise<Answer> {
    const id = (this.lastId += 1);
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.waiting.delete(id);
        this.worker.postMessage({ type: "cancel", id } satisfies ToWorker);
        reject(signal?.reason);
      };
      const done = (): void => signal?.removeEventListener("abort", giveUp);
      this.waiting.set(id, {
        resolve: (answer) => (done(), resolve(answer)),
        reject: (error) => (done(), reject(error)),
      });
      signal?.addEventListener("abort", giveUp);
      this.worker.postMessage({ type: "run", id, task } satisfies ToWorker);
    });
  }

  close(): void {
    this.worker.terminate();
    for (const { reject } of this.waiting.values()) reject(new DOMException("the store was closed", "AbortError"));
    this.waiting.clear();
  }

  private hear({ id, traffic, answer, error }: FromWorker): void {
    this.traffic = traffic;
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    if (error !== undefined) waiting?.reject(errorOf(error));
    else waiting?.resolve(answer ?? {});
  }

  private fail(url: string | URL, reason: string): void {
    const what = `the viewer's worker does not run (${reason || "it cannot be loaded"}); reload the page`;
    for (const { reject } of this.waiting.values()) reject(new ViewerError("unreachable", String(url), what));
    this.waiting.clear();
  }
}

/** Return a number of a text, the same always (FNV-1a). */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
