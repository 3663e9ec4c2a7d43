// Labelled points: what a class map is trained on, and what is taken home.

import type { LonLat } from "./geography.js";
import type { Spot } from "./spots.js";

export interface Label { className: string; spot: Spot; vector: Float32Array; date: string | null }

export class Labels {
  readonly classes: string[] = [];
  readonly points: Label[] = [];

  /** Add a class, and say whether it is a new one with a name. */
  addClass(name: string): boolean {
    const wanted = name.trim();
    if (wanted === "" || this.classes.includes(wanted)) return false;
    this.classes.push(wanted);
    return true;
  }

  removeClass(name: string): void {
    this.classes.splice(this.classes.indexOf(name), 1);
    for (let i = this.points.length - 1; i >= 0; i--) {
      if (this.points[i]!.className === name) this.points.splice(i, 1);
    }
  }

  /** Put a label on a pixel, in place of an earlier one of that pixel. */
  set(label: Label): void {
    const same = this.points.findIndex(
      ({ spot, date }) => spot.ground === label.spot.ground && spot.row === label.spot.row &&
        spot.col === label.spot.col && date === label.date,
    );
    if (same >= 0) this.points.splice(same, 1);
    this.points.push(label);
  }

  count(name: string): number {
    return this.points.filter((point) => point.className === name).length;
  }

  get isTrainable(): boolean {
    return new Set(this.points.map((point) => point.className)).size > 1;
  }

  toGeoJson(): string {
    const features = this.points.map(({ className, spot, date }) => ({
      type: "Feature",
      geometry: { type: "Point", coordinates: rounded(spot.lonLat) },
      properties: { label: className, ...(date !== null && { time: date }) },
    }));
    return JSON.stringify({ type: "FeatureCollection", features }, null, 1);
  }
}

function rounded(place: LonLat): number[] {
  return place.map((degrees) => Number(degrees.toFixed(8)));
}
