/** Minimise a smooth function by L-BFGS (J. Nocedal and S. Wright, Numerical Optimization, algorithms 7.4 and 3.1). */

/** Returns the value at a point, and writes the gradient there. */
export type Smooth = (point: Float64Array, gradient: Float64Array) => number;

const PAIRS = 10;
const ENOUGH_DECREASE = 1e-4;
const SHORTEST_STEP = 1e-10;

interface Pair {
  readonly step: Float64Array;
  readonly change: Float64Array;
  readonly product: number;
}

/**
 * Return a point where no part of the gradient is larger than `tolerance`, or the last of `iterations`.
 *
 * The same function and start give the same point.
 */
export function minimise(value: Smooth, start: Float64Array, tolerance = 1e-6, iterations = 500): Float64Array {
  const pairs: Pair[] = [];
  let point: Float64Array = start.slice();
  let gradient: Float64Array = new Float64Array(start.length);
  let here = value(point, gradient);
  for (let round = 0; round < iterations; round += 1) {
    if (gradient.every((part) => Math.abs(part) <= tolerance)) break;
    const direction = descent(gradient, pairs);
    const slope = dot(direction, gradient);
    let length = pairs.length === 0 ? 1 / Math.sqrt(dot(gradient, gradient)) : 1;
    const newGradient = new Float64Array(start.length);
    let next = moved(point, direction, length);
    let there = value(next, newGradient);
    while (!(there <= here + ENOUGH_DECREASE * length * slope) && length > SHORTEST_STEP) {
      length /= 2;
      next = moved(point, direction, length);
      there = value(next, newGradient);
    }
    if (!(there < here)) break; // as low as float64 can tell
    const step = next.map((part, i) => part - (point[i] as number));
    const change = newGradient.map((part, i) => part - (gradient[i] as number));
    const product = dot(step, change);
    if (product > 0) pairs.push({ step, change, product });
    if (pairs.length > PAIRS) pairs.shift();
    [point, gradient, here] = [next, newGradient, there];
  }
  return point;
}

/** Return the direction of steepest descent in the metric that the last steps tell of. */
function descent(gradient: Float64Array, pairs: readonly Pair[]): Float64Array {
  const direction = gradient.map((part) => -part);
  const shares: number[] = [];
  for (const { step, change, product } of [...pairs].reverse()) {
    const share = dot(step, direction) / product;
    shares.push(share);
    add(direction, change, -share);
  }
  const last = pairs.at(-1);
  const scale = last === undefined ? 1 : last.product / dot(last.change, last.change);
  for (let i = 0; i < direction.length; i += 1) direction[i] = (direction[i] as number) * scale;
  for (const { step, change, product } of pairs) {
    add(direction, step, (shares.pop() as number) - dot(change, direction) / product);
  }
  return direction;
}

function moved(point: Float64Array, direction: Float64Array, length: number): Float64Array {
  return point.map((part, i) => part + length * (direction[i] as number));
}

function add(into: Float64Array, vector: Float64Array, factor: number): void {
  for (let i = 0; i < into.length; i += 1) into[i] = (into[i] as number) + factor * (vector[i] as number);
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] as number) * (b[i] as number);
  return sum;
}
