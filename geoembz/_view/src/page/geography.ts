// Where grids lie: each has a projection of its own for OpenLayers, and a way to longitude and latitude.
//
// OpenLayers' tiles have square pixels. A grid whose pixels are not square lies in its CRS with y
// stretched: the same place on the Earth, other numbers.

import proj4, { type Converter } from "proj4";
import Projection from "ol/proj/Projection.js";
import type { Units } from "ol/proj/Units.js";
import { addCoordinateTransforms, addProjection, fromLonLat, toLonLat, transform } from "ol/proj.js";
import { ViewerError, pixelAt, centreOf } from "../core/index.js";
import type { Grid, Raster, Resolution, Store } from "../core/index.js";

export type LonLat = [number, number];
type XY = [number, number];

export class Ground<Pixels extends Raster = Grid> {
  readonly projection: Projection;
  readonly isGeographic: boolean;
  readonly stretch: number; // y of the projection = y of the CRS × stretch
  private readonly converter: Converter;

  /** @param code that no other ground has */
  constructor(readonly index: number, readonly grid: Pixels, url: string, code = `grid:${index}`) {
    const finest = grid.levels[0]!;
    this.stretch = Math.abs(finest.transform[0] / finest.transform[4]);
    if (Math.abs(this.stretch - 1) < 1e-9) this.stretch = 1;
    try {
      this.converter = proj4("EPSG:4326", grid.crs.wkt2);
      this.converter.forward(this.converter.inverse(centre(finest)));
    } catch {
      const called = grid.crs.code ?? "its coordinate reference system";
      throw new ViewerError(
        "unsupported-store", url,
        `${called} cannot be drawn: proj4, which this page computes places with, does not know it.`,
      );
    }
    const definition = proj4.Proj(grid.crs.wkt2) as unknown as { projName: string; to_meter?: number };
    this.isGeographic = definition.projName === "longlat";
    const units: Units = this.isGeographic ? "degrees" : "m";
    const metersPerUnit = this.isGeographic ? undefined : (definition.to_meter ?? 1);
    this.projection = new Projection({ code, units, ...(metersPerUnit && { metersPerUnit }) });
    addProjection(this.projection);
    const toDegrees = (place: number[]): number[] => this.toLonLat([place[0]!, place[1]! / this.stretch]);
    const fromDegrees = (place: number[]): number[] => this.stretched(this.fromLonLat([place[0]!, place[1]!]));
    addCoordinateTransforms(this.projection, "EPSG:4326", toDegrees, fromDegrees);
    addCoordinateTransforms(
      this.projection, "EPSG:3857",
      (place: number[]) => fromLonLat(toDegrees(place)),
      (place: number[]) => fromDegrees(toLonLat(place)),
    );
  }

  toLonLat(place: XY): LonLat {
    return this.converter.inverse(place) as LonLat;
  }

  fromLonLat(place: LonLat): XY {
    return this.converter.forward(place) as XY;
  }

  stretched(place: XY): XY {
    return [place[0], place[1] * this.stretch];
  }

  /** Extent of a level in the projection. */
  extent(level: Resolution = this.grid.levels[0]!): [number, number, number, number] {
    const [xmin, ymin, xmax, ymax] = level.bbox;
    return [xmin, ymin * this.stretch, xmax, ymax * this.stretch];
  }

  /** Coordinates in the CRS of a place on the map. */
  fromMap(place: number[], projection: Projection): XY {
    const [x, y] = transform(place, projection, this.projection) as XY;
    return [x, y / this.stretch];
  }

  toMap(place: XY, projection: Projection): number[] {
    return transform(this.stretched(place), this.projection, projection);
  }

  pixelAtLonLat(place: LonLat, level: Resolution): { row: number; col: number } | null {
    const [x, y] = this.fromLonLat(place);
    return Number.isFinite(x) && Number.isFinite(y) ? pixelAt(level, x, y) : null;
  }

  centre(level: Resolution, row: number, col: number): XY {
    return centreOf(level, row, col);
  }
}

function centre(level: Resolution): XY {
  return [(level.bbox[0] + level.bbox[2]) / 2, (level.bbox[1] + level.bbox[3]) / 2];
}

/** Let places be told from one ground's projection to another's, through longitude and latitude. */
export function connect(one: Ground<Raster>, other: Ground<Raster>): void {
  const through = (from: Ground<Raster>, to: Ground<Raster>) => ([x, y]: number[]): number[] =>
    to.stretched(to.fromLonLat(from.toLonLat([x!, y! / from.stretch])));
  addCoordinateTransforms(one.projection, other.projection, through(one, other), through(other, one));
}

export function groundsOf(store: Store): Ground[] {
  return store.grids.map((grid, index) => new Ground(index, grid, store.url));
}

/** A single grid is drawn in its own CRS where that is flat; all else on Web Mercator. */
export function projectionOfMap(grounds: readonly Ground<Raster>[]): Projection | "EPSG:3857" {
  const only = grounds.length === 1 ? grounds[0]! : null;
  return only !== null && !only.isGeographic && only.stretch === 1 ? only.projection : "EPSG:3857";
}
