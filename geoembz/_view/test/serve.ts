/** A static file server on loopback that honours ranges, and can be told not to. */

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join, normalize } from "node:path";

export interface Served {
  readonly url: string;
  /** "GET /name.zarr/zarr.json", with the range behind. */
  readonly log: string[];
  close(): Promise<void>;
}

export interface Behaviour {
  /** Send whole objects whatever is asked for. */
  readonly ignoresRanges?: boolean;
  /** Refuse ranges that count from the end, as Azure does. */
  readonly refusesSuffixes?: boolean;
  /** Answer to keys that contain a text, in place of the file's. */
  readonly answers?: Readonly<Record<string, number>>;
}

/** Serve a folder until `close`. */
export async function serve(folder: string, behaviour: Behaviour = {}): Promise<Served> {
  const log: string[] = [];
  const server = createServer((request, response) => {
    log.push(`${request.method} ${request.url} ${request.headers.range ?? ""}`.trim());
    void answer(folder, behaviour, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${port}`, log, close };
}

async function answer(
  folder: string,
  { ignoresRanges = false, refusesSuffixes = false, answers = {} }: Behaviour,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = decodeURIComponent(new URL(request.url ?? "/", "http://host").pathname);
  const refused = Object.entries(answers).find(([part]) => path.includes(part));
  const file = join(folder, normalize(path));
  const size = await stat(file).then((found) => (found.isFile() ? found.size : null), () => null);
  if (refused !== undefined || size === null) {
    response.writeHead(refused?.[1] ?? 404).end();
    return;
  }
  if (request.method === "HEAD") {
    response.writeHead(200, { "Content-Length": size }).end();
    return;
  }
  if (refusesSuffixes && request.headers.range?.startsWith("bytes=-")) {
    response.writeHead(416).end();
    return;
  }
  const range = ignoresRanges ? null : /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? "");
  if (range === null) {
    response.writeHead(200, { "Content-Length": size });
    createReadStream(file).pipe(response);
    return;
  }
  const start = range[1] === "" ? Math.max(size - Number(range[2]), 0) : Number(range[1]);
  const end = range[1] === "" || range[2] === "" ? size - 1 : Math.min(Number(range[2]), size - 1);
  response.writeHead(206, { "Content-Length": end - start + 1, "Content-Range": `bytes ${start}-${end}/${size}` });
  createReadStream(file, { start, end }).pipe(response);
}
