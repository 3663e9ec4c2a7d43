/** Read arrays that NumPy saved. */

import { readFileSync } from "node:fs";
import { widenFloat16 } from "../src/core/float16.js";

export interface Numbers {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/** Return a C-order, little-endian array of a `.npy` file. */
export function readNpy(path: string): Numbers {
  const bytes = readFileSync(path);
  const length = bytes.readUInt16LE(8);
  const header = bytes.subarray(10, 10 + length).toString("latin1");
  const type = /'descr': '([^']+)'/.exec(header)?.[1] ?? "";
  const shape = (/'shape': \(([^)]*)\)/.exec(header)?.[1] ?? "").split(",").filter((side) => side.trim() !== "").map(Number);
  if (/'fortran_order': True/.test(header)) throw new Error(`${path}: Fortran order`);
  const content = bytes.buffer.slice(bytes.byteOffset + 10 + length, bytes.byteOffset + bytes.byteLength);
  return { shape, data: elements(type, content) };
}

function elements(type: string, content: ArrayBuffer): ArrayLike<number> {
  switch (type) {
    case "|i1":
      return new Int8Array(content);
    case "|u1":
    case "|b1":
      return new Uint8Array(content);
    case "<f2":
      return widenFloat16(new Uint16Array(content));
    case "<f4":
      return new Float32Array(content);
    case "<f8":
      return new Float64Array(content);
    default:
      throw new Error(`numbers of type ${type}`);
  }
}
