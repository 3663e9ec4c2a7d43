/** A web worker that answers tasks about one store. */

import { errorData } from "./core/errors.js";
import type { FromWorker, ToWorker } from "./core/pool.js";
import { type Answer, type Task, TaskRunner } from "./core/tasks.js";

/** The part of a worker's global scope that is used here. */
interface Scope {
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  postMessage(message: FromWorker, transfer: Transferable[]): void;
}

const scope = globalThis as unknown as Scope;
const running = new Map<number, AbortController>();
let runner: TaskRunner | null = null;

scope.onmessage = ({ data }) => {
  if (data.type === "open") runner = new TaskRunner(data.store, data.cacheBytes);
  else if (data.type === "cancel") running.get(data.id)?.abort();
  else if (runner !== null) void answer(runner, data.id, data.task);
};

async function answer(from: TaskRunner, id: number, task: Task): Promise<void> {
  const controller = new AbortController();
  running.set(id, controller);
  try {
    const found = await from.run(task, controller.signal);
    scope.postMessage({ id, answer: found, traffic: from.traffic }, buffers(found));
  } catch (error) {
    scope.postMessage({ id, error: errorData(error), traffic: from.traffic }, []);
  } finally {
    running.delete(id);
  }
}

/** Return the memory of an answer, which is handed over and not copied. */
function buffers({ values, labels, valid, codes }: Answer): Transferable[] {
  return [values, labels, valid, codes].flatMap((array) => (array === undefined ? [] : [array.buffer as ArrayBuffer]));
}
