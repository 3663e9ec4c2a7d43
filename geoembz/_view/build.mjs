/**
 * Bundle the page and its worker into dist/, with the licences of all that is in them; `--tests`: the tests into build/test/.
 *
 * `node build.mjs --watch` bundles again whenever a source changes.
 */

import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, context } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const DIST = join(HERE, "dist");
const TESTS = join(HERE, "build", "test");

/** Compressors that zarrita offers and geoembz stores never have: 300 kB that nobody would use. */
const UNUSED = ["blosc", "lz4", "zstd"];

const common = {
  absWorkingDir: HERE,
  bundle: true,
  format: "esm",
  target: "es2022",
  logLevel: "warning",
  legalComments: "none", // the licences stand in full in LICENSES.txt
  alias: Object.fromEntries(UNUSED.map((name) => [`numcodecs/${name}`, "./src/core/absent-codec.ts"])),
};

const page = {
  ...common,
  entryPoints: { main: "src/main.ts", worker: "src/worker.ts" },
  outdir: DIST,
  minify: true,
  metafile: true,
};

async function buildPage() {
  await rm(DIST, { recursive: true, force: true });
  await mkdir(DIST, { recursive: true });
  const { metafile } = await build(page);
  await cp(join(HERE, "static"), DIST, { recursive: true });
  await writeFile(join(DIST, "LICENSES.txt"), await licences(Object.keys(metafile.inputs)));
}

/** A comment that asks to stay with the code, as that of C code compiled into a package. */
const NOTICE = /\/\*(?:(?!\*\/)[\s\S])*copyright(?:(?!\*\/)[\s\S])*\*\//gi;

/** Return the licence texts of the packages that the inputs of a bundle come from. */
async function licences(inputs) {
  const packages = new Set(inputs.map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]).filter(Boolean));
  const texts = [];
  for (const name of [...packages].sort()) {
    const folder = join(HERE, "node_modules", name);
    const about = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const files = (await readdir(folder)).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file)).sort();
    const parts = await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")));
    parts.push(...(await notices(inputs.filter((path) => path.startsWith(`node_modules/${name}/`)))));
    const text = parts.length > 0 ? parts.join("\n\n") : `(the package carries no text of its licence, ${about.license})`;
    texts.push(`${name} ${about.version} (${about.license})\n\n${text.trim()}\n`);
  }
  const rule = `\n${"-".repeat(78)}\n\n`;
  return `The geoembz viewer (Apache-2.0) contains the following packages.\n${rule}${texts.join(rule)}`;
}

async function notices(paths) {
  const texts = await Promise.all(paths.map((path) => readFile(join(HERE, path), "utf8")));
  return [...new Set(texts.flatMap((text) => text.match(NOTICE) ?? []))];
}

/** Beside the tests, for those that start it. */
const WORKER = { in: "src/worker.ts", out: "worker" };

async function buildTests() {
  await rm(TESTS, { recursive: true, force: true });
  const names = (await readdir(join(HERE, "test"))).filter((name) => name.endsWith(".test.ts"));
  await build({
    ...common,
    entryPoints: [...names.map((name) => ({ in: `test/${name}`, out: name.replace(/\.ts$/, "") })), WORKER],
    outdir: TESTS,
    outExtension: { ".js": ".mjs" },
    platform: "node",
    sourcemap: "inline",
  });
}

async function watch() {
  await buildPage();
  const watching = await context({ ...page, logLevel: "info" });
  await watching.watch();
}

if (process.argv.includes("--tests")) await buildTests();
else if (process.argv.includes("--watch")) await watch();
else await buildPage();
