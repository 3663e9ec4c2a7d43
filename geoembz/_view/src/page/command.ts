// The line that finds on the command line what the page shows.

export interface SearchLine {
  store: string;
  for: readonly (readonly [number, number])[];
  against: readonly (readonly [number, number])[];
  /** CRS of the points; null where they are longitude and latitude. */
  crs: string | null;
  /** Size of a pixel, in units of the points. */
  pixel: number;
  k: number;
  metric: string;
  time: string | null;
  level: number;
  /** In the CRS of the store; null for all of it. */
  box: readonly [number, number, number, number] | null;
}

export function searchLine(line: SearchLine): string {
  const decimals = Math.min(Math.max(Math.ceil(-Math.log10(line.pixel / 100)), 0), 12);
  const list = (numbers: readonly number[]) => numbers.map((number) => number.toFixed(decimals)).join(",");
  const words = ["geoembz", "search", quoted(line.store)];
  for (const point of line.for) words.push(flag("point", list(point)));
  for (const point of line.against) words.push(flag("against", list(point)));
  if (line.for.length > 1) words.push("--together");
  if (line.crs !== null) words.push("--crs", quoted(line.crs));
  if (line.box !== null) words.push(flag("bbox", list(line.box)));
  if (line.time !== null) words.push("--time", line.time);
  if (line.level > 0) words.push("--level", String(line.level));
  words.push("--k", String(line.k));
  if (line.metric !== "cosine") words.push("--metric", line.metric);
  return words.join(" ");
}

/** Numbers may begin with a minus, which must not look like an option. */
function flag(name: string, value: string): string {
  return value.startsWith("-") ? `--${name}=${value}` : `--${name} ${value}`;
}

function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
