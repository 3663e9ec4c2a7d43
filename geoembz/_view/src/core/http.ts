/** Fetch objects and ranges of objects, count what that costs, and turn failures into sentences. */

import type { AbsolutePath, AsyncReadable, GetOptions, RangeQuery } from "zarrita";
import { ViewerError, isAbort } from "./errors.js";

/** Requests sent, and bytes of the bodies that came back. */
export interface Traffic {
  requests: number;
  bytes: number;
}

export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

const ABSENT = 404;
/** S3 answers 403 for an absent key where listing is not allowed; digests tell which it is. */
const HIDDEN = 403;

/** A folder of objects behind HTTP, in the form that zarrita reads. */
export class HttpSource implements AsyncReadable {
  readonly traffic: Traffic = { requests: 0, bytes: 0 };

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
    const response = await this.send(url, undefined, options?.signal);
    if (response.status === ABSENT || response.status === HIDDEN) return this.absent(response);
    if (response.status !== 200) throw refused(url, response);
    return this.body(url, response);
  }

  /** Return a part of an object, or undefined where there is no object. */
  async getRange(key: AbsolutePath, range: RangeQuery, options?: GetOptions): Promise<Uint8Array | undefined> {
    const url = this.urlOf(key);
    const bytes =
      "suffixLength" in range ? `-${range.suffixLength}` : `${range.offset}-${range.offset + range.length - 1}`;
    const expected = "suffixLength" in range ? range.suffixLength : range.length;
    const response = await this.send(url, `bytes=${bytes}`, options?.signal);
    if (response.status === ABSENT || response.status === HIDDEN) return this.absent(response);
    if (response.status === 200) {
      await response.body?.cancel();
      throw new ViewerError(
        "no-ranges",
        url,
        "the server sends whole objects where a part was asked for. The viewer needs a server that honours the " +
          "header Range, as S3, GCS, nginx, Caddy and `geoembz view` do (Python's http.server does not).",
      );
    }
    if (response.status !== 206) throw refused(url, response);
    const body = await this.body(url, response);
    if (body.length !== expected) {
      throw new ViewerError(
        "damaged",
        url,
        `bytes ${bytes} are ${body.length} long; expected ${expected}. The object is damaged, or was replaced: ` +
          "reload the page.",
      );
    }
    return body;
  }

  private async send(url: string, range: string | undefined, signal: AbortSignal | undefined): Promise<Response> {
    this.traffic.requests += 1;
    const init: RequestInit = {};
    if (signal !== undefined) init.signal = signal;
    if (range !== undefined) init.headers = { Range: range };
    try {
      return await this.fetcher(url, init);
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
