/** Print what the bundle weighs over the wire, and fail where that is too much. */

import { readFile, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const MOST_BYTES = 700_000;
const DIST = join(dirname(fileURLToPath(import.meta.url)), "dist");

let total = 0;
for (const name of (await readdir(DIST)).sort()) {
  if (name === "LICENSES.txt") continue; // not loaded with the page
  const size = gzipSync(await readFile(join(DIST, name)), { level: 9 }).length;
  total += size;
  console.log(`${name}: ${size.toLocaleString("en")} bytes gzipped`);
}
console.log(`together ${total.toLocaleString("en")} of at most ${MOST_BYTES.toLocaleString("en")}`);
if (total > MOST_BYTES) process.exitCode = 1;
