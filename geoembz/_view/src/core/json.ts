/** Read JSON of unknown make: every look at it says what it expects, and where it was not so. */

import { ViewerError } from "./errors.js";

export type JsonObject = Readonly<Record<string, unknown>>;

/** A place in a document, for messages: the document's URL and the path of members. */
export class Json {
  constructor(
    readonly value: unknown,
    readonly url: string,
    readonly path = "",
  ) {}

  /** Whether there is anything here: neither absent nor null. */
  get exists(): boolean {
    return this.value !== undefined && this.value !== null;
  }

  /** Return a member, which may be absent. */
  at(name: string | number): Json {
    const holder = this.value as Record<string | number, unknown> | null | undefined;
    const inside = typeof holder === "object" && holder !== null && Object.hasOwn(holder, name);
    const path = this.path === "" ? String(name) : `${this.path}.${name}`;
    return new Json(inside ? holder[name] : undefined, this.url, path);
  }

  /** Return an object. */
  object(): JsonObject {
    if (typeof this.value !== "object" || this.value === null || Array.isArray(this.value)) {
      throw this.unlike("an object");
    }
    return this.value as JsonObject;
  }

  /** Return the elements of a list. */
  list(): Json[] {
    if (!Array.isArray(this.value)) throw this.unlike("a list");
    return this.value.map((_, index) => this.at(index));
  }

  /** Return a text. */
  text(): string {
    if (typeof this.value !== "string") throw this.unlike("a text");
    return this.value;
  }

  /** Return a finite number. */
  number(): number {
    if (typeof this.value !== "number" || !Number.isFinite(this.value)) throw this.unlike("a number");
    return this.value;
  }

  /** Return an integer of at least `least` and at most `most`. */
  integer(least: number, most = Number.MAX_SAFE_INTEGER): number {
    const value = this.number();
    if (!Number.isSafeInteger(value) || value < least || value > most) {
      throw this.unlike(`an integer from ${least} to ${most}`);
    }
    return value;
  }

  /** Return a list of finite numbers, `count` of them where that is given. */
  numbers(count?: number): number[] {
    const values = this.list().map((item) => item.number());
    if (count !== undefined && values.length !== count) throw this.unlike(`${count} numbers`);
    return values;
  }

  private unlike(expected: string): ViewerError {
    const came = JSON.stringify(this.value)?.slice(0, 80) ?? "nothing";
    return new ViewerError(
      "damaged",
      this.url,
      `${this.path || "the document"} is ${came}; expected ${expected}. The store's metadata are damaged.`,
    );
  }
}
