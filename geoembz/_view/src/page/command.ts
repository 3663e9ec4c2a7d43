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
  /** Its CRS is null where that is the store's; null for all of the store. */
  box: { corners: readonly number[]; crs: string | null } | null;
}

const METRES_DECIMALS = 2; // of a box on the map

export function searchLine(line: SearchLine): string {
  const decimals = Math.min(Math.max(Math.ceil(-Math.log10(line.pixel / 100)), 0), 12);
  const words = ["geoembz", "search", quoted(line.store)];
  for (const point of line.for) words.push(flag("point", listed(point, decimals)));
  for (const point of line.against) words.push(flag("against", listed(point, decimals)));
  if (line.for.length > 1) words.push("--together");
  if (line.crs !== null) words.push("--crs", quoted(line.crs));
  if (line.box !== null) words.push(...boxWords(line.box, decimals));
  if (line.time !== null) words.push("--time", line.time);
  if (line.level > 0) words.push("--level", String(line.level));
  words.push("--k", String(line.k));
  words.push("--metric", line.metric); // also cosine: a store may recommend another one
  return words.join(" ");
}

function boxWords({ corners, crs }: NonNullable<SearchLine["box"]>, decimals: number): string[] {
  if (crs === null) return [flag("bbox", listed(corners, decimals))];
  return [flag("bbox", listed(corners, METRES_DECIMALS)), "--bbox-crs", quoted(crs)];
}

function listed(numbers: readonly number[], decimals: number): string {
  return numbers.map((number) => number.toFixed(decimals)).join(",");
}

/** Numbers may begin with a minus, which must not look like an option. */
function flag(name: string, value: string): string {
  return value.startsWith("-") ? `--${name}=${value}` : `--${name} ${value}`;
}

function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
