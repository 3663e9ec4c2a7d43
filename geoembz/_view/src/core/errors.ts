/** Errors that a person understands: every failure of the core but an aborted request is a ViewerError. */

export type ViewerErrorKind =
  | "unreachable"
  | "no-ranges"
  | "not-found"
  | "forbidden"
  | "server"
  | "not-a-store"
  | "unsupported-version"
  | "unsupported-encoding"
  | "unsupported-store"
  | "damaged"
  | "lost-object"
  | "invalid-query";

/** What went wrong, where, and (in `message`) what to do about it. */
export class ViewerError extends Error {
  override readonly name = "ViewerError";

  constructor(
    readonly kind: ViewerErrorKind,
    readonly url: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(url === "" ? message : `${url}: ${message}`, options);
  }
}

/** Whether an error only says that the caller no longer wants the answer. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

/** An error as plain data, which survives the way out of a worker. */
export interface ErrorData {
  readonly name: string;
  readonly message: string;
  readonly kind?: ViewerErrorKind;
  readonly url?: string;
}

/** Return an error as plain data. */
export function errorData(error: unknown): ErrorData {
  if (error instanceof ViewerError) {
    const { name, message, kind, url } = error;
    return { name, message, kind, url };
  }
  if (error instanceof Error) return { name: error.name, message: error.message };
  return { name: "Error", message: String(error) };
}

/** Return the error that `errorData` took apart. */
export function errorOf(data: ErrorData): Error {
  if (data.kind !== undefined && data.url !== undefined) {
    const bare = data.url !== "" && data.message.startsWith(`${data.url}: `);
    const message = bare ? data.message.slice(data.url.length + 2) : data.message;
    return new ViewerError(data.kind, bare ? data.url : "", message);
  }
  if (data.name === "AbortError") return new DOMException(data.message, "AbortError");
  return new Error(data.message);
}
