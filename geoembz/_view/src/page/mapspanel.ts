// The part of the panel that lists maps: on or off, how opaque, which bands, what colours mean, and what is at the pointer.

import type { MapValue } from "./maps.js";
import { MapLayer } from "./maps.js";
import { element, make, options } from "./dom.js";
import type { LonLat } from "./geography.js";
import { drawRamp, swatch } from "./legend.js";
import { PALETTES, STEPS } from "./palette.js";
import type { MapView } from "./view.js";

const PAUSE_MS = 60;
const TOGETHER = "rgb"; // the choice of three bands as one picture

export function bindMaps(view: MapView): void {
  element("maps").hidden = view.maps.length === 0;
  const items = view.maps.map((map) => new Item(view, map));
  element("map-list").replaceChildren(...items.map(({ root }) => root));
  const look = () => items.forEach((item) => item.showReach());
  view.map.on("moveend", look);
  let waiting: ReturnType<typeof setTimeout> | undefined;
  const peek = (event: { coordinate: number[]; dragging?: boolean }) => {
    if (event.dragging) return;
    clearTimeout(waiting);
    waiting = setTimeout(() => items.forEach((item) => item.peek(view.lonLat(event.coordinate))), PAUSE_MS);
  };
  view.map.on("pointermove", peek);
  view.map.on("click", peek);
}

/** One map in the list. */
class Item {
  readonly root = make("li");
  private readonly legend = make("figure", "", { class: "legend" });
  private readonly here = make("p", "", { class: "note here" });
  private readonly note = make("p", "", { class: "note" });
  private asked = 0;

  constructor(private readonly view: MapView, private readonly map: MapLayer) {
    this.root.append(this.head(), this.note, ...this.choices(), this.opacity(), this.legend, this.here);
    this.showLegend();
    this.showReach();
  }

  /** What is at a place: said last by who asked last. */
  peek(place: LonLat): void {
    const number = ++this.asked;
    if (!this.map.layer.getVisible()) return;
    this.map.at(place).then((found) => {
      if (number === this.asked) this.here.textContent = `here: ${this.inWords(found)}`;
    }, () => undefined); // the map itself says what is wrong
  }

  /** Say how large the map is, or that it is drawn only nearer. */
  showReach(): void {
    const { layer, map } = this.map, level = map.raster.levels[0]!;
    const isNear = (this.view.map.getView().getResolution() ?? 0) <= layer.getMaxResolution();
    const size = `${map.kind}, ${level.width} × ${level.height} pixels`;
    this.note.textContent = isNear ? size : `${size}: zoom in to see it (it has no overviews)`;
  }

  private head(): HTMLElement {
    const row = make("div", "", { class: "row" }), label = make("label", "", { title: this.map.name });
    const box = make("input", "", { type: "checkbox" });
    box.checked = true;
    box.addEventListener("change", () => this.map.layer.setVisible(box.checked));
    label.append(box, ` ${shortName(this.map.name)}`);
    const go = make("button", "Go there", { type: "button", "aria-label": `Go to ${shortName(this.map.name)}` });
    go.addEventListener("click", () => this.view.showGrid(this.map.ground));
    row.append(label, go);
    return row;
  }

  private opacity(): HTMLElement {
    const label = make("label", "opacity ", { class: "row" });
    const slider = make("input", "", { type: "range", min: "0", max: "100", value: String(this.map.layer.getOpacity() * 100) });
    slider.addEventListener("input", () => this.map.layer.setOpacity(Number(slider.value) / 100));
    label.append(slider);
    return label;
  }

  /** Which bands are shown and in which colours, where there is a choice. */
  private choices(): HTMLElement[] {
    if (this.map.hasClasses) return [];
    const { bands, shown } = this.map.map;
    const row = make("div", "", { class: "row" });
    const palette = make("select", "", { "aria-label": "Palette of the map" });
    const band = make("select", "", { "aria-label": "Band of the map" });
    options(palette, PALETTES);
    const isPicture = shown.length === 3;
    options(band, [...(isPicture ? ["red, green, blue"] : []), ...bands.map(({ name }) => name)],
      [...(isPicture ? [TOGETHER] : []), ...bands.map((_, index) => String(index))]);
    band.value = isPicture ? TOGETHER : String(shown[0]);
    const show = () => {
      palette.disabled = band.value === TOGETHER;
      this.map.show(band.value === TOGETHER ? shown : [Number(band.value)], palette.value);
      this.showLegend();
    };
    palette.disabled = isPicture;
    for (const list of [band, palette]) list.addEventListener("change", show);
    row.append(...(bands.length > 1 ? [band] : []), palette);
    return [row];
  }

  private showLegend(): void {
    const { map, bands, palette, hasClasses } = this.map;
    const caption = make("figcaption");
    const ends = bands.map((band) => map.bands[band]!);
    if (hasClasses) {
      caption.append(...map.classes.map(({ name, colour, pixels }) => swatch(`${name} ${share(pixels, map.validPixels)}`, colour)));
      caption.className = "classes";
      this.legend.replaceChildren(caption);
    } else if (ends.length === 1) {
      const { name, low, high } = ends[0]!;
      const canvas = make("canvas", "", { width: String(STEPS), height: "12", "aria-hidden": "true" });
      drawRamp(canvas, palette);
      caption.append(make("span", rounded(low)), make("span", name), make("span", rounded(high)));
      this.legend.replaceChildren(canvas, caption);
    } else {
      const colours = [[213, 50, 50], [40, 150, 70], [50, 90, 210]] as const;
      caption.append(...ends.map(({ name, low, high }, i) => swatch(`${name}: ${rounded(low)} to ${rounded(high)}`, colours[i]!)));
      this.legend.replaceChildren(caption);
    }
  }

  private inWords(found: MapValue | null): string {
    if (found === null) return "outside the map";
    if (found.values.some(Number.isNaN)) return "no data";
    if (this.map.hasClasses) return found.class?.name ?? `${found.values[0]}, no class`;
    return this.map.bands.map((band, i) => `${this.map.map.bands[band]!.name} ${rounded(found.values[i]!)}`).join(", ");
  }
}

function rounded(value: number): string {
  return String(Number(value.toPrecision(4)));
}

function share(pixels: number, all: number): string {
  return all === 0 ? "" : `${((100 * pixels) / all).toFixed(1)} %`;
}

/** The last part of a path or an address. */
function shortName(name: string): string {
  return name.split("?")[0]!.replace(/\/+$/, "").split("/").at(-1) || name;
}
