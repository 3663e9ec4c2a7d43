/** The content hash of an Encoding (spec/encoding.md, "Hash"). */

import type { EncodingArrays } from "./encoding.js";

/** An array with its shape, as the hash takes it. */
export interface Hashed {
  readonly name: string;
  readonly shape: readonly number[];
}

/**
 * Return `sha256:` and the digest; null where the browser computes none: pages that come over plain HTTP from another
 * machine have no `crypto.subtle`.
 *
 * @param config the JSON part, as stored
 * @param shapes of all arrays of the group `encoding/`
 */
export async function contentHash(
  config: Readonly<Record<string, unknown>>,
  shapes: readonly Hashed[],
  arrays: EncodingArrays,
): Promise<string | null> {
  const subtle = globalThis.crypto?.subtle as SubtleCrypto | undefined;
  if (subtle === undefined) return null;
  const { recipe: _label, ...rest } = config;
  const encoder = new TextEncoder();
  const parts = [encoder.encode(canonical(rest))];
  for (const { name, shape } of [...shapes].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const values = arrays[name] as Float32Array;
    parts.push(encoder.encode(canonical({ name, dtype: "float32", shape })));
    parts.push(new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, values.byteLength));
  }
  const digest = await subtle.digest("SHA-256", await new Blob(parts).arrayBuffer());
  return `sha256:${Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** Return JSON in the one form that RFC 8785 allows: members by their names, nothing between; numbers are JavaScript's. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(",")}}`;
}
