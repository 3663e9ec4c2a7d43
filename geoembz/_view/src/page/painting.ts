// From numbers of pixels to their colours, red, green, blue and alpha one behind the other.

import { STEPS, classColour } from "./palette.js";

export interface Range { low: number; high: number }

/** Scores, or changes: low and high are the ends of the palette; `from` hides what is farther. */
export interface ScoreStyle {
  range: Range;
  from: number; // 0 to 1 along the palette: what lies below is not drawn
  isNearSmall: boolean; // distances: small ones have the bright end
  ramp: Uint8Array;
}

/** Where a score lies along the palette, 0 to 1; beyond its ends outside of that. */
export function place(score: number, range: Range, isNearSmall: boolean): number {
  const width = range.high - range.low;
  const share = width > 0 ? (score - range.low) / width : 1;
  return isNearSmall ? 1 - share : share;
}

/** The score at a place along the palette. */
export function scoreAt(share: number, range: Range, isNearSmall: boolean): number {
  return range.low + (isNearSmall ? 1 - share : share) * (range.high - range.low);
}

export function paintScores(scores: Float32Array, style: ScoreStyle): Uint8ClampedArray<ArrayBuffer> {
  const pixels = new Uint8ClampedArray(scores.length * 4);
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i]!;
    if (Number.isNaN(score)) continue;
    const share = place(score, style.range, style.isNearSmall);
    if (share < style.from && style.from > 0) continue;
    const step = Math.min(Math.max(Math.round(share * (STEPS - 1)), 0), STEPS - 1) * 3;
    pixels[4 * i] = style.ramp[step]!;
    pixels[4 * i + 1] = style.ramp[step + 1]!;
    pixels[4 * i + 2] = style.ramp[step + 2]!;
    pixels[4 * i + 3] = 255;
  }
  return pixels;
}

/** Three components, each between the ends of its range. */
export function paintColours(
  values: Float32Array, valid: Uint8Array, ranges: readonly Range[],
): Uint8ClampedArray<ArrayBuffer> {
  const n = valid.length;
  const pixels = new Uint8ClampedArray(n * 4);
  for (let channel = 0; channel < 3; channel++) {
    const { low, high } = ranges[channel]!;
    const factor = high > low ? 255 / (high - low) : 0;
    for (let i = 0; i < n; i++) {
      if (valid[i]) pixels[4 * i + channel] = factor ? (values[channel * n + i]! - low) * factor : 128;
    }
  }
  for (let i = 0; i < n; i++) pixels[4 * i + 3] = valid[i] ? 255 : 0;
  return pixels;
}

/** Labels 0, 1, … in the colours of the classes that they stand for; 255 is no label. */
export function paintClasses(labels: Uint8Array, classes: readonly number[]): Uint8ClampedArray<ArrayBuffer> {
  const pixels = new Uint8ClampedArray(labels.length * 4);
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] === 255) continue;
    const colour = classColour(classes[labels[i]!]!);
    pixels.set([colour[0], colour[1], colour[2], 255], 4 * i);
  }
  return pixels;
}
