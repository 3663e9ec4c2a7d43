/** Fetch objects and ranges of objects, count what that costs, and turn failures into sentences. */

import type { AbsolutePath, AsyncReadable, GetOptions, RangeQuery } from "zarrita";
import { ViewerError, isAbort } from "./errors.js";

/** Requests sent, and bytes of the bodies that came back. */
export interface Traffic {
  requests: number;
  bytes: number;
}

export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

/** A store that was published again must not be read by the former one's documents: ask whether they still hold. */
const CHECKED: RequestInit = { cache: "no-cache" };

/**
 * Return what asks for a part. Past the browser's cache, which lets only one request for an object run at a time: eighteen
 * ranges of a shard took 1.2 s in Chromium with it and 0.25 s without (50 ms to the server). Codes are kept in memory.
 */
function ranged(bytes: string): RequestInit {
  return { cache: "no-store", headers: { Range: `bytes=${bytes}` } };
}

const ABSENT = 404;
/** S3 answers 403 for an absent key where listing is not allowed; digests tell which it is. */
const HIDDEN = 403;

/** A folder of objects behind HTTP, in the form that zarrita reads. */
export class HttpSource implements AsyncReadable {
  readonly traffic: Traffic = { requests: 0, bytes: 0 };
  /** Whether `Range: bytes=-N` is understood: Azure does not, and CORS may not allow it. */
  private hasSuffixes = true;

  /**
   * @param url of the folder, without a slash at the end; a query (`?token=…`) is kept for all objects
   * @param fetcher what sends requests
   */
  constructor(
    readonly url: string,
    private readonly fetcher: Fetch = (input, init) => fetch(input, init),
  ) {}

  /** Return the URL of an object. */
  urlOf(key: AbsolutePath): string {
    const [folder = "", query] = this.url.split("?", 2);
    const path = key.split("/").map(encodeURIComponent).join("/");
    return folder.replace(/\/+$/, "") + path + (query === undefined ? "" : `?${query}`);
  }

  /** Return an object, or undefined where there is none. */
  async get(key: AbsolutePath, options?: GetOptions): Promise<Uint8Array | undefined> {
    const url = this.urlOf(key);
    const response = await this.send(url, CHECKED, options?.signal);
    if (isAbsent(response)) return this.absent(response);
    if (response.status !== 200) throw refused(url, response);
    return this.body(url, response);
  }

  /** Return a part of an object, or undefined where there is no object. */
  async getRange(key: AbsolutePath, range: RangeQuery, options?: GetOptions): Promise<Uint8Array | undefined> {
    if ("suffixLength" in range) return this.suffix(key, range.suffixLength, options);
    const url = this.urlOf(key);
    const bytes = `${range.offset}-${range.offset + range.length - 1}`;
    const response = await this.send(url, ranged(bytes), options?.signal);
    if (isAbsent(response)) return this.absent(response);
    if (response.status === 200) {
      await response.body?.cancel();
      throw new ViewerError(
        "no-ranges",
        url,
        "the server sends whole objects where a part was asked for. The viewer needs a server that honours the " +
          "header Range, as S3, GCS, nginx, Caddy and `geoembz view` do (Python's http.server does not).",
      );
    }
    return this.part(url, response, range.length);
  }

  /** Return the end of an object: at one go, or by asking for its length first where that is not understood. */
  private async suffix(key: AbsolutePath, length: number, options?: GetOptions): Promise<Uint8Array | undefined> {
    const url = this.urlOf(key);
    if (this.hasSuffixes) {
      const response = await this.send(url, ranged(`-${length}`), options?.signal).catch(
        (error: unknown) => {
          // Only ranges with a start need no leave by CORS, so it may be this form alone that is refused.
          if (error instanceof ViewerError && error.kind === "unreachable") return null;
          throw error;
        },
      );
      if (response !== null && isAbsent(response)) return this.absent(response);
      if (response?.status === 206) return this.part(url, response, length);
      await response?.body?.cancel();
    }
    const head = await this.send(url, { method: "HEAD" }, options?.signal);
    if (isAbsent(head)) return undefined;
    if (head.status !== 200) throw refused(url, head);
    this.hasSuffixes = false;
    const offset = Number(head.headers.get("Content-Length") ?? Number.NaN) - length;
    if (!(offset >= 0)) throw damaged(url, `is too short for its index of ${length} bytes, or its length is not told`);
    return this.getRange(key, { offset, length }, options);
  }

  private async part(url: string, response: Response, length: number): Promise<Uint8Array> {
    if (response.status !== 206) throw refused(url, response);
    const body = await this.body(url, response);
    if (body.length === length) return body;
    throw damaged(url, `gave ${body.length} bytes where ${length} were asked for`);
  }

  private async send(url: string, init: RequestInit, signal: AbortSignal | undefined): Promise<Response> {
    this.traffic.requests += 1;
    try {
      return await this.fetcher(url, signal === undefined ? init : { ...init, signal });
    } catch (error) {
      throw isAbort(error) ? error : unreachable(url, error);
    }
  }

  private async body(url: string, response: Response): Promise<Uint8Array> {
    try {
      const body = new Uint8Array(await response.arrayBuffer());
      this.traffic.bytes += body.length;
      return body;
    } catch (error) {
      throw isAbort(error) ? error : unreachable(url, error);
    }
  }

  private async absent(response: Response): Promise<undefined> {
    await response.body?.cancel();
    return undefined;
  }
}

function isAbsent({ status }: Response): boolean {
  return status === ABSENT || status === HIDDEN;
}

function damaged(url: string, what: string): ViewerError {
  return new ViewerError("damaged", url, `the object ${what}. It is damaged, or was replaced: reload the page.`);
}

function unreachable(url: string, cause: unknown): ViewerError {
  return new ViewerError(
    "unreachable",
    url,
    "no answer that this page may read. Either the server cannot be reached, or it does not allow pages of other " +
      "sites to read from it (CORS): it must send Access-Control-Allow-Origin, and allow the header Range.",
    { cause },
  );
}

function refused(url: string, response: Response): ViewerError {
  const { status } = response;
  const answer = `the server answered ${status} ${response.statusText}`.trim();
  if (status === 401) return new ViewerError("forbidden", url, `${answer}: reading it needs credentials.`);
  return new ViewerError("server", url, `${answer}; try again later, or ask whoever runs the server.`);
}
