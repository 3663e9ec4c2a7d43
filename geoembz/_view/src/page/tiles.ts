// Tiles of a grid, painted from its codes; levels of the store are the zoom levels of the tiles.

import DataTileSource from "ol/source/DataTile.js";
import TileGrid from "ol/tilegrid/TileGrid.js";
import type { Raster, Window } from "../core/index.js";
import type { Ground } from "./geography.js";

export const TILE = 256;

export type Pixels = Uint8ClampedArray<ArrayBuffer>;
export type Paint = (window: Window, signal: AbortSignal) => Promise<Pixels | null>;

/** Zoom levels of a grid: the coarsest of its levels is 0, the last one the finest that may be drawn. */
export function tileGridOf(ground: Ground<Raster>, finest = 0): TileGrid {
  const levels = ground.grid.levels.slice(finest).reverse();
  const [west, , , north] = ground.extent();
  return new TileGrid({
    extent: ground.extent(),
    origin: [west, north],
    resolutions: levels.map((level) => Math.abs(level.transform[0])),
    tileSize: TILE,
  });
}

/** The pixels of a tile. */
export function windowOf(ground: Ground<Raster>, z: number, x: number, y: number): Window {
  const level = ground.grid.levels.length - 1 - z;
  return { grid: ground.index, level, row: y * TILE, col: x * TILE, height: TILE, width: TILE };
}

export class PaintedSource extends DataTileSource {
  private revision = 0;
  private finest = 0;

  constructor(readonly ground: Ground<Raster>, paint: Paint, onError: (error: unknown) => void) {
    super({
      projection: ground.projection,
      tileGrid: tileGridOf(ground),
      interpolate: false,
      transition: 0,
      wrapX: false,
      key: "0",
      loader: async (z, x, y, { signal }) => {
        try {
          return toCanvas(await paint(windowOf(ground, z, x, y), signal));
        } catch (error) {
          if (!signal.aborted) onError(error);
          throw error;
        }
      },
    });
  }

  /** Draw no finer level than this; until its tiles are there, the old ones, whose numbers stay the same, stand in for them. */
  limit(finest: number): void {
    if (finest === this.finest) return;
    this.finest = finest;
    this.tileGrid = tileGridOf(this.ground, finest);
    this.repaint();
  }

  /** Paint all tiles anew; the old ones are shown until the new ones are there. */
  repaint(): void {
    this.revision += 1;
    this.setKey(String(this.revision));
  }
}

/** OpenLayers draws and reprojects elements, not arrays, on a plain canvas. */
function toCanvas(pixels: Pixels | null): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = TILE;
  if (pixels !== null) {
    canvas.getContext("2d")!.putImageData(new ImageData(pixels, TILE, TILE), 0, 0);
  }
  return canvas;
}
