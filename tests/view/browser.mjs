// Drive Chromium through the steps of a job (JSON on standard input); print what they gave.
//
// A step is one of {evaluate: CODE}, {click: [x, y]}, {point: [x, y]}, {press: KEY}, {check: SELECTOR}, {fill: [SELECTOR, TEXT]},
// {push: SELECTOR}, {wait: CODE}, {screenshot: FILE}, {download: SELECTOR}. Code is the body of an async function.

import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";

const job = JSON.parse(await text(process.stdin));
const { chromium } = createRequire(job.packages)("playwright-core");
const FLAGS = [
  "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
];

const browser = await chromium.launch({ executablePath: job.chromium, args: FLAGS });
const context = await browser.newContext({
  viewport: job.viewport ?? { width: 1100, height: 700 },
  colorScheme: job.colours ?? "light",
  hasTouch: job.touch ?? false,
});
const page = await context.newPage();
page.setDefaultTimeout(60_000);
const said = [], hosts = new Set();
page.on("pageerror", (error) => said.push(String(error)));
page.on("console", (message) => message.type() === "error" && said.push(message.text()));
page.on("request", (request) => /^https?:/.test(request.url()) && hosts.add(new URL(request.url()).host));

const run = (code) => page.evaluate(`(async () => { ${code} })()`);
const STEPS = {
  evaluate: run,
  click: ([x, y]) => page.mouse.click(x, y),
  point: ([x, y]) => page.mouse.move(x, y),
  press: (key) => page.keyboard.press(key),
  check: (selector) => page.check(selector, { force: true }),
  fill: ([selector, value]) => page.fill(selector, value),
  push: (selector) => page.click(selector),
  wait: async (code) => { // the page's policy forbids what Playwright's own waiting does
    for (const end = Date.now() + 60_000; !(await run(code)); await page.waitForTimeout(50)) {
      if (Date.now() > end) throw new Error(`waited a minute for: ${code}`);
    }
  },
  screenshot: (path) => page.screenshot({ path, ...(path.endsWith(".jpg") && { quality: 82 }) }),
  download: async (selector) => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click(selector)]);
    return readFile(await download.path(), "utf8");
  },
};

try {
  await page.goto(job.url);
  const results = [];
  for (const step of job.steps) {
    const [[kind, argument]] = Object.entries(step);
    const result = await STEPS[kind](argument);
    results.push(kind === "evaluate" || kind === "download" ? result : null);
  }
  process.stdout.write(JSON.stringify({ results, said, hosts: [...hosts] }));
} finally {
  await browser.close();
}
