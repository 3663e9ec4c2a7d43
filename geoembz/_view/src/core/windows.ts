/** Rectangles of pixels: cut by chunks and shards, and put together again. */

export interface Rectangle {
  readonly row: number;
  readonly col: number;
  readonly height: number;
  readonly width: number;
}

/** Return what two rectangles have in common; null where that is nothing. */
export function intersection(a: Rectangle, b: Rectangle): Rectangle | null {
  const row = Math.max(a.row, b.row);
  const col = Math.max(a.col, b.col);
  const height = Math.min(a.row + a.height, b.row + b.height) - row;
  const width = Math.min(a.col + a.width, b.col + b.width) - col;
  return height > 0 && width > 0 ? { row, col, height, width } : null;
}

/** Return the cells `[row, col]` of a regular grid that a rectangle touches. */
export function within(rectangle: Rectangle, [rows, cols]: readonly [number, number]): [number, number][] {
  const cells: [number, number][] = [];
  const last = [rectangle.row + rectangle.height - 1, rectangle.col + rectangle.width - 1] as const;
  for (let row = Math.floor(rectangle.row / rows); row <= Math.floor(last[0] / rows); row += 1) {
    for (let col = Math.floor(rectangle.col / cols); col <= Math.floor(last[1] / cols); col += 1) {
      cells.push([row, col]);
    }
  }
  return cells;
}

type Numbers = Float32Array | Uint8Array | Int8Array;

/** Copy the pixels of one rectangle into another, where they meet; both row-major. */
export function paste(from: Numbers, source: Rectangle, into: Numbers, target: Rectangle): void {
  const common = intersection(source, target);
  if (common === null) return;
  for (let row = common.row; row < common.row + common.height; row += 1) {
    const start = (row - source.row) * source.width + common.col - source.col;
    const at = (row - target.row) * target.width + common.col - target.col;
    into.set(from.subarray(start, start + common.width), at);
  }
}
