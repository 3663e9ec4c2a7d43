/** Metrics: how vectors are compared, as a name such as `cosine` or `cosine-w0.5` (spec/encoding.md, "Metrics"). */

import type { Encoding } from "./encoding.js";

export type MetricName = "cosine" | "dot" | "euclidean" | "hamming";

/** As `geoembz.search` has them. */
export type Metric = MetricName | `${Exclude<MetricName, "hamming">}-w${number}`;

export interface MetricParts {
  readonly name: MetricName;
  /** Power of its deviation by which each component is divided first, 0 to 1. */
  readonly whiten: number;
}

const METRIC = /^(cosine|dot|euclidean|hamming)(?:-w([0-9]*\.?[0-9]+))?$/;

/** Read a metric's name; null where it is none. */
export function parseMetric(text: string): MetricParts | null {
  const [, name, power = "0"] = METRIC.exec(text) ?? [];
  const whiten = Number(power);
  if (name === undefined || whiten > 1 || (name === "hamming" && whiten > 0)) return null;
  return { name: name as MetricName, whiten };
}

/** Whether codes can be compared by a metric; it may be a text of unknown origin. */
export function suits(encoding: Encoding, metric: string): metric is Metric {
  const parts = parseMetric(metric);
  return parts !== null && encoding.metrics().includes(parts.name) && (parts.whiten === 0 || encoding.knowsVariance);
}

/** Return the metrics that are offered for codes: first the one that is recommended, where it suits them. */
export function metricsFor(encoding: Encoding, recommended: unknown): Metric[] {
  const plain = encoding.metrics();
  if (typeof recommended !== "string" || !suits(encoding, recommended)) return plain;
  return [recommended, ...plain.filter((metric) => metric !== recommended)];
}

/** Whether larger scores are nearer. */
export function largerIsNearer(metric: Metric): boolean {
  const name = parseMetric(metric)?.name;
  return name === "cosine" || name === "dot";
}
