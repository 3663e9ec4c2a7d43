// The map: layers of every grid, what of them is in view, and marks upon them.

import OlMap from "ol/Map.js";
import View from "ol/View.js";
import ScaleLine from "ol/control/ScaleLine.js";
import { defaults as defaultControls } from "ol/control/defaults.js";
import { defaults as defaultInteractions } from "ol/interaction/defaults.js";
import { getIntersection, isEmpty } from "ol/extent.js";
import type { Extent } from "ol/extent.js";
import Feature from "ol/Feature.js";
import Point from "ol/geom/Point.js";
import TileLayer from "ol/layer/Tile.js";
import VectorLayer from "ol/layer/Vector.js";
import type Projection from "ol/proj/Projection.js";
import { get as getProjection, toLonLat, transform, transformExtent } from "ol/proj.js";
import VectorSource from "ol/source/Vector.js";
import XYZ from "ol/source/XYZ.js";
import { Circle, Fill, Stroke, Style, Text } from "ol/style.js";
import type { Level, Raster, Window } from "../core/index.js";
import { type Ground, type LonLat, connect, projectionOfMap } from "./geography.js";
import type { MapLayer } from "./maps.js";
import { extentOnMap, farthestOf, openingOf } from "./opening.js";
import type { LevelOf } from "./spots.js";
import { type Paint, PaintedSource } from "./tiles.js";

export interface Mark { ground: Ground; place: [number, number]; text: string; colour: string }

export class MapView {
  readonly map: OlMap;
  readonly projection: Projection;
  /** Whether zooming out ends before everything is in view: the store has no levels for it. */
  readonly isBounded: boolean;
  private readonly colours: PaintedSource[];
  private readonly overlays: PaintedSource[];
  private readonly overlayLayers: TileLayer<PaintedSource>[];
  private readonly ground = new TileLayer<XYZ>({ visible: false });
  private readonly marks = new VectorSource();

  /** @param maps that lie over the store, or are shown alone where it has no `grounds`; the first on top */
  constructor(
    target: HTMLElement, readonly grounds: readonly Ground[], readonly maps: readonly MapLayer[],
    paints: { colours: Paint; overlay: Paint }, onError: (error: unknown) => void,
  ) {
    const first: readonly Ground<Raster>[] = grounds.length > 0 ? grounds : maps.map(({ ground }) => ground);
    this.projection = getProjection(projectionOfMap(grounds.length > 0 ? grounds : distinct(first)))!;
    connectAll([...grounds, ...maps.map(({ ground }) => ground)]);
    this.colours = grounds.map((ground) => new PaintedSource(ground, paints.colours, onError));
    this.overlays = grounds.map((ground) => new PaintedSource(ground, paints.overlay, onError));
    this.overlayLayers = this.overlays.map((source) => new TileLayer({ source, visible: false }));
    const size = [target.clientWidth || 800, target.clientHeight || 600] as const;
    const opening = openingOf(first, this.projection, size);
    for (const map of maps) map.limit(farthestOf(map.ground, this.projection));
    this.isBounded = opening.isBounded;
    this.map = new OlMap({
      target,
      controls: defaultControls({ attribution: false }).extend([new ScaleLine()]),
      interactions: defaultInteractions({ doubleClickZoom: false }), // two quick clicks are two examples
      layers: [
        this.ground,
        ...this.colours.map((source) => new TileLayer({ source })),
        ...maps.map(({ layer }) => layer).reverse(),
        ...this.overlayLayers,
        new VectorLayer({ source: this.marks, style: (feature) => feature.get("style") as Style }),
      ],
      view: new View(opening.view),
    });
  }

  repaintColours(): void {
    for (const source of this.colours) source.repaint();
  }

  repaintOverlay(): void {
    for (const source of this.overlays) source.repaint();
  }

  /** Draw no finer level of the overlay than one of each grid. */
  limitOverlay(limitOf: LevelOf): void {
    this.overlays.forEach((source, i) => source.limit(limitOf(this.grounds[i]!).index));
  }

  showOverlay(isShown: boolean, opacity: number): void {
    for (const layer of this.overlayLayers) {
      layer.setVisible(isShown);
      layer.setOpacity(opacity);
    }
  }

  showBaseMap(url: string): void {
    this.ground.setSource(url === "" ? null : new XYZ({ url, crossOrigin: "anonymous", maxZoom: 19 }));
    this.ground.setVisible(url !== "");
  }

  lonLat(coordinate: number[]): LonLat {
    return toLonLat(coordinate, this.projection) as LonLat;
  }

  /** The level that OpenLayers draws a grid from now. */
  levelInView(ground: Ground): Level {
    const source = this.colours[ground.index]!;
    const z = source.getTileGrid()!.getZForResolution(this.resolutionIn(ground));
    return ground.grid.levels[ground.grid.levels.length - 1 - z]!;
  }

  private resolutionIn(ground: Ground): number {
    const view = this.map.getView();
    const [x, y] = view.getCenter()!;
    const half = view.getResolution()! / 2;
    const left = transform([x! - half, y!], this.projection, ground.projection);
    const right = transform([x! + half, y!], this.projection, ground.projection);
    return Math.hypot(right[0]! - left[0]!, right[1]! - left[1]!) || 1;
  }

  /** Corners of the map: xmin, ymin, xmax, ymax of `projection`. */
  extent(): Extent {
    return this.map.getView().calculateExtent(this.map.getSize());
  }

  /** The pixels of each grid that are in view, at a level of each. */
  windowsInView(levelOf: LevelOf): { ground: Ground; level: Level; window: Window; isWhole: boolean }[] {
    const extent = this.extent();
    return this.grounds.flatMap((ground) => {
      const level = levelOf(ground);
      const seen = getIntersection(
        transformExtent(extent, this.projection, ground.projection, 16), ground.extent(level),
      );
      if (isEmpty(seen)) return [];
      const [a, , c, , e, f] = level.transform;
      const col = Math.max(Math.floor((seen[0]! - c) / a), 0);
      const row = Math.max(Math.floor((seen[3]! / ground.stretch - f) / e), 0);
      const width = Math.min(Math.ceil((seen[2]! - c) / a), level.width) - col;
      const height = Math.min(Math.ceil((seen[1]! / ground.stretch - f) / e), level.height) - row;
      if (width <= 0 || height <= 0) return [];
      const isWhole = width === level.width && height === level.height;
      return [{ ground, level, isWhole, window: { grid: ground.index, level: level.index, row, col, height, width } }];
    });
  }

  setMarks(marks: readonly Mark[]): void {
    this.marks.clear(true);
    this.marks.addFeatures(marks.map((mark) => {
      const feature = new Feature(new Point(mark.ground.toMap(mark.place, this.projection)));
      feature.set("style", styleOf(mark));
      return feature;
    }));
  }

  goTo(ground: Ground, place: [number, number]): void {
    this.map.getView().animate({ center: ground.toMap(place, this.projection), duration: this.moves });
  }

  /** Show all of a grid, as far as the map zooms out. */
  showGrid(ground: Ground<Raster>): void {
    const margin = [24, 24, 24, 24];
    this.map.getView().fit(extentOnMap(ground, this.projection), { padding: margin, duration: this.moves });
  }

  private get moves(): number {
    return window.matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 250; // ms
  }

  /** Resolve when everything in view is drawn. */
  drawn(): Promise<void> {
    return new Promise((resolve) => {
      this.map.once("rendercomplete", () => resolve());
      this.map.render();
    });
  }
}

/** One ground of each CRS: maps in the same one are drawn in it. */
function distinct(grounds: readonly Ground<Raster>[]): Ground<Raster>[] {
  return [...new Map(grounds.map((ground) => [ground.grid.crs.wkt2, ground])).values()];
}

/** Let OpenLayers tell places from each projection to each other. */
function connectAll(grounds: readonly Ground<Raster>[]): void {
  grounds.forEach((one, i) => grounds.slice(i + 1).forEach((other) => connect(one, other)));
}

function styleOf(mark: Mark): Style {
  return new Style({
    image: new Circle({
      radius: mark.text === "" ? 5 : 8,
      fill: new Fill({ color: mark.colour }),
      stroke: new Stroke({ color: "#fff", width: 2 }),
    }),
    ...(mark.text !== "" && {
      text: new Text({ text: mark.text, font: "bold 11px sans-serif", fill: new Fill({ color: "#fff" }) }),
    }),
  });
}
