/** Bytes of spec/vectors/0.1/codecs decode to the values there, for every quantizer and law. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { crc32c } from "../src/core/codecs.js";
import { Dequantizer, validity } from "../src/core/decode.js";
import { type Codes, Encoding } from "../src/core/encoding.js";
import { ViewerError } from "../src/core/errors.js";
import { widenFloat16 } from "../src/core/float16.js";
import { assertClose } from "./close.js";
import { readNpy } from "./npy.js";

const CODECS = join(process.env["GEOEMBZ_VECTORS"] ?? "../../spec/vectors", "0.1", "codecs");
const BITS: Readonly<Record<string, number>> = { int8: 8, int4: 4, int2: 2, ternary: 2, binary: 1, pq: 8, power: 8, float16: 16 };

/** Return the encoding that is the quantizer alone. */
function quantizerOnly(name: string, configuration: Record<string, unknown>): Encoding {
  const kind = name.split("-")[0] ?? "";
  const count = Number(configuration["n_components"]);
  const arrays: Record<string, Float32Array> = { variance: new Float32Array(count) };
  const numbers: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(configuration)) {
    const isArray = typeof value === "string" && key !== "law";
    if (isArray) arrays[key] = new Float32Array(Uint8Array.from(Buffer.from(value, "base64")).buffer);
    else numbers[key] = value;
  }
  const projection = { kind: "none", law: "identity", n_components: count };
  const quantizer = { kind, bits: BITS[kind], ...numbers };
  return new Encoding({ config: { dimension: count, recipe: kind, projection, quantizer }, arrays, url: "test" });
}

function codesOf(encoding: Encoding, bytes: Buffer): Codes {
  const own = Uint8Array.from(bytes);
  if (encoding.isBytes) return own;
  return widenFloat16(new Uint16Array(own.buffer));
}

const names = readdirSync(CODECS).filter((name) => (name.split("-")[0] ?? "") in BITS);
test("there are golden codecs of every kind", () => {
  assert.deepEqual(new Set(names.map((name) => name.split("-")[0])), new Set(Object.keys(BITS)));
});

for (const name of names) {
  test(`codec ${name} decodes as the specification says`, () => {
    const { configuration } = JSON.parse(readFileSync(join(CODECS, name, "zarr.json"), "utf8"));
    const encoding = quantizerOnly(name, configuration);
    const codes = codesOf(encoding, readFileSync(join(CODECS, name, "encoded.bin")));
    const n = codes.length / encoding.codeLength;
    const dequantizer = new Dequantizer(encoding);
    const found = new Float32Array(encoding.nComponents * n);
    for (let k = 0; k < encoding.nComponents; k += 1) dequantizer.write(codes, n, k, 0, n, found, k * n);
    const valid = validity(encoding, codes, n, null);
    const decoded = found.map((value, i) => (valid[i % n] === 1 ? value : Number.NaN));
    assertClose(decoded, readNpy(join(CODECS, name, "decoded.npy")).data, 0, name);
  });
}

test("the checksum of shard indexes is CRC-32C", () => {
  assert.equal(crc32c(new TextEncoder().encode("123456789")), 0xe3069283); // RFC 3720's check value
});

for (const [what, change] of [
  ["law", { quantizer: { kind: "int8", bits: 8, law: "logarithmic", n_components: 2 } }],
  ["kind", { quantizer: { kind: "int3", bits: 3, law: "linear", n_components: 2 } }],
  ["key", { shuffled: true }],
] as const) {
  test(`an encoding with an unknown ${what} is refused by name`, () => {
    const config = {
      dimension: 2,
      recipe: "int8",
      projection: { kind: "none", law: "identity", n_components: 2 },
      quantizer: { kind: "int8", bits: 8, law: "linear", n_components: 2 },
      ...change,
    };
    assert.throws(() => new Encoding({ config, arrays: {}, url: "store" }), (error: unknown) => {
      return error instanceof ViewerError && error.kind === "unsupported-encoding" && /logarithmic|int3|shuffled/.test(error.message);
    });
  });
}
