/** The codecs of stored objects, for zarrita: zstd by a small decoder, and a checksum that is checked. */

import { type DataType, registry } from "zarrita";
import { ZSTDDecoder } from "zstddec/stream";

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

function lengthOf({ shape, dataType }: Meta): number {
  return shape.reduce((product, side) => product * side, 1) * itemBytes(dataType);
}

/** Return the bytes of one number. */
export function itemBytes(type: string): number {
  return ITEM_BYTES[type] ?? Number.NaN;
}

/** Decompress a chunk, whose length its array's metadata say: a wrong checksum gives another length. */
class Zstd {
  readonly kind = "bytes_to_bytes";

  constructor(private readonly length: number) {}

  static fromConfig(_config: unknown, meta: Meta): Zstd {
    return new Zstd(lengthOf(meta));
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

/** Name of the codec that decompresses what begins a chunk; never stored (see starts.ts). */
export const ZSTD_START = "geoembz.view.zstd-start";

/** Decompress the beginning of a chunk from the beginning of its bytes: as much as the array's metadata say. */
class ZstdStart {
  readonly kind = "bytes_to_bytes";

  constructor(private readonly length: number) {}

  static fromConfig(_config: unknown, meta: Meta): ZstdStart {
    return new ZstdStart(lengthOf(meta));
  }

  encode(): never {
    throw new Error("zstd: the viewer only reads");
  }

  decode(bytes: Uint8Array): Uint8Array {
    const plain = new Uint8Array(this.length);
    let [at, idle] = [0, 0];
    try {
      // To its end: only there the decoder frees its memory.
      for (const part of decoder.decodeStreaming([bytes])) {
        plain.set(part.subarray(0, this.length - at), at);
        at = Math.min(at + part.length, this.length);
        idle = part.length === 0 ? idle + 1 : 0;
        if (idle > MOST_IDLE) break; // damaged bytes are never consumed
      }
    } catch (error) {
      if (at < this.length) throw error; // else it only misses the rest
    }
    if (at < this.length) throw new Error(`${bytes.length} bytes hold ${at} of the first ${this.length} bytes of a chunk`);
    return plain;
  }
}

const MOST_IDLE = 4;

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
  registry.set(ZSTD_START, async () => {
    await decoder.init();
    return ZstdStart;
  });
  registry.set("crc32c", async () => Crc32c);
}
