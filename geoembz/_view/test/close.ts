/** Compare arrays of numbers. */

import assert from "node:assert/strict";

/** Fail unless two arrays have the same NaNs, and elsewhere differ by no more than `tolerance`. */
export function assertClose(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string): void {
  assert.equal(found.length, expected.length, `${what}: length`);
  for (let i = 0; i < expected.length; i += 1) {
    const [one, other] = [found[i] as number, expected[i] as number];
    const isSame = Number.isNaN(other) ? Number.isNaN(one) : Math.abs(one - other) <= tolerance;
    if (!isSame) assert.fail(`${what}: ${one} at ${i}; expected ${other} within ${tolerance}`);
  }
}
