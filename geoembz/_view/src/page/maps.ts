// Maps that `geoembz map` made: each a layer with its own place, colours and values.

import TileLayer from "ol/layer/Tile.js";
import { type MapClass, type MapStore, MapReader, type Raster, type Traffic, type Window } from "../core/index.js";
import { Ground, type LonLat } from "./geography.js";
import { paintColours, paintScores } from "./painting.js";
import { ramp } from "./palette.js";
import { PaintedSource, type Pixels } from "./tiles.js";

/** What a map holds at a place: a value of each band, NaN where there is none. */
export interface MapValue { values: number[]; class: MapClass | null }

/** What the requests of maps came to. */
export function trafficOf(maps: readonly MapLayer[]): Traffic {
  return maps.reduce(({ requests, bytes }, { reader: { traffic } }) =>
    ({ requests: requests + traffic.requests, bytes: bytes + traffic.bytes }), { requests: 0, bytes: 0 });
}

export class MapLayer {
  readonly ground: Ground<Raster>;
  readonly layer: TileLayer<PaintedSource>;
  readonly reader: MapReader;
  /** Bands that are drawn: one, or three as red, green and blue. */
  bands: readonly number[];
  palette = "viridis";
  private readonly source: PaintedSource;
  private readonly colours: Map<number, MapClass>;

  constructor(index: number, readonly map: MapStore, readonly name: string, onError: (error: unknown) => void) {
    this.ground = new Ground(index, map.raster, map.url, `map:${index}`);
    this.reader = new MapReader(map);
    this.bands = map.shown;
    this.colours = new Map(map.classes.map((each) => [each.value, each]));
    this.source = new PaintedSource(this.ground, (window) => this.paint(window), onError);
    this.layer = new TileLayer({ source: this.source, opacity: 0.85 });
  }

  get hasClasses(): boolean {
    return this.map.classes.length > 0;
  }

  /** Draw it only where a pixel of the screen is at most so wide, in units of the page's map. */
  limit(farthest: number): void {
    this.layer.setMaxResolution(farthest);
  }

  /** Draw other bands, or in other colours. */
  show(bands: readonly number[], palette = this.palette): void {
    this.bands = bands;
    this.palette = palette;
    this.source.repaint();
  }

  /** What is at a place in some bands, at full resolution; null outside. */
  async at(place: LonLat, bands: readonly number[] = this.bands): Promise<MapValue | null> {
    const pixel = this.ground.pixelAtLonLat(place, this.ground.grid.levels[0]!);
    if (pixel === null) return null;
    const window = { ...pixel, height: 1, width: 1 };
    const found = await Promise.all(bands.map((band) => this.reader.values(0, band, window)));
    const values = found.map(([value]) => value!);
    return { values, class: this.colours.get(values[0]!) ?? null };
  }

  private async paint(window: Window): Promise<Pixels> {
    const bands = await Promise.all(this.bands.map((band) => this.reader.values(window.level, band, window)));
    const first = bands[0]!;
    if (this.hasClasses) return this.paintClasses(first);
    const ranges = this.bands.map((band) => this.map.bands[band]!);
    if (bands.length === 1) return paintScores(first, { range: ranges[0]!, from: 0, isNearSmall: false, ramp: ramp(this.palette) });
    const values = new Float32Array(3 * first.length);
    bands.forEach((band, channel) => values.set(band, channel * first.length));
    return paintColours(values, Uint8Array.from(first, (value) => Number(!Number.isNaN(value))), ranges);
  }

  private paintClasses(values: Float32Array): Pixels {
    const pixels = new Uint8ClampedArray(values.length * 4);
    values.forEach((value, i) => {
      const found = this.colours.get(value);
      if (found !== undefined) pixels.set([...found.colour, 255], 4 * i);
    });
    return pixels;
  }
}
