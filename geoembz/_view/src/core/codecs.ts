/** The codecs of stored objects, for zarrita: zstd by a small decoder, and a checksum that is checked. */

import { type DataType, registry } from "zarrita";
import { ZSTDDecoder } from "zstddec";

type Meta = { readonly dataType: DataType; readonly shape: readonly number[] };

const ITEM_BYTES: Readonly<Record<string, number>> = {
  int8: 1,
  uint8: 1,
  uint16: 2,
  int64: 8,
  uint64: 8,
  float32: 4,
  float64: 8,
};

const decoder = new ZSTDDecoder();

/** Decompress a chunk, whose length its array's metadata say: a wrong checksum gives another length. */
class Zstd {
  readonly kind = "bytes_to_bytes";

  constructor(private readonly length: number) {}

  static fromConfig(_config: unknown, meta: Meta): Zstd {
    const items = meta.shape.reduce((product, side) => product * side, 1);
    return new Zstd(items * (ITEM_BYTES[meta.dataType] ?? Number.NaN));
  }

  encode(): never {
    throw new Error("zstd: the viewer only reads");
  }

  decode(bytes: Uint8Array): Uint8Array {
    const plain = decoder.decode(bytes, this.length);
    if (plain.length !== this.length) {
      throw new Error(`a chunk of ${bytes.length} bytes does not decompress to ${this.length} bytes; it is damaged`);
    }
    return plain;
  }
}

const CHECKSUM_BYTES = 4;

/** Check and take off the checksum behind a shard's index (RFC 3720's CRC-32C, little-endian). */
class Crc32c {
  readonly kind = "bytes_to_bytes";

  static fromConfig(): Crc32c {
    return new Crc32c();
  }

  encode(): never {
    throw new Error("crc32c: the viewer only reads");
  }

  decode(bytes: Uint8Array): Uint8Array {
    const end = bytes.length - CHECKSUM_BYTES;
    const content = bytes.subarray(0, end);
    const stored = new DataView(bytes.buffer, bytes.byteOffset + end, CHECKSUM_BYTES).getUint32(0, true);
    if (stored !== crc32c(content)) throw new Error("a shard's index does not match its checksum; it is damaged");
    return content;
  }

  computeEncodedSize(decodedSize: number): number {
    return decodedSize + CHECKSUM_BYTES;
  }
}

const REFLECTED_POLYNOMIAL = 0x82f63b78;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit += 1) {
    remainder = remainder & 1 ? (remainder >>> 1) ^ REFLECTED_POLYNOMIAL : remainder >>> 1;
  }
  return remainder;
});

/** Return the CRC-32C of some bytes. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** Tell zarrita about our codecs; once, before anything is read. */
export function registerCodecs(): void {
  registry.set("zstd", async () => {
    await decoder.init();
    return Zstd;
  });
  registry.set("crc32c", async () => Crc32c);
}
