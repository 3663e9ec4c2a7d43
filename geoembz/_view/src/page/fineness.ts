// What the page says of an overlay that is coarser than the map, and how it is made as fine.

import type { App } from "./app.js";
import { button, element } from "./dom.js";
import { tried } from "./errors.js";
import type { Ground } from "./geography.js";
import type { Level } from "../core/index.js";

export function bindFineness(app: App): void {
  button("refine").addEventListener("click", () => tried(refine(app)));
  app.addEventListener("change", () => showFineness(app));
}

/** Make the overlay as fine as the map. */
export async function refine(app: App): Promise<void> {
  if (app.overlay === null || !app.scale.isCoarse) return;
  button("refine").disabled = true;
  element("coarse-note").textContent = `Refining to ${drawnSize(app)} …`;
  try {
    await app.refine();
  } finally {
    button("refine").disabled = false;
    showFineness(app);
  }
}

function showFineness(app: App): void {
  const isShown = app.overlay !== null && app.scale.isCoarse;
  element("coarse").hidden = !isShown;
  if (!isShown || button("refine").disabled) return;
  const ground = firstInView(app), level = app.scale.limitOf(ground);
  element("coarse-note").textContent =
    `Computed at ${sizeOf(ground, level)} (means of ${level.factor} × ${level.factor} pixels), to read little at once.`;
  button("refine").textContent = `Refine to ${drawnSize(app)} (up to ${megabytes(app.scale.bytesOfDrawn)})`;
}

function firstInView(app: App): Ground {
  return app.inView()[0]?.ground ?? app.grounds[0]!;
}

function drawnSize(app: App): string {
  const ground = firstInView(app);
  return sizeOf(ground, app.scale.drawnOf(ground));
}

/** How wide a pixel is. */
function sizeOf(ground: Ground, level: Level): string {
  const size = Math.abs(level.transform[0]);
  if (ground.isGeographic) return `${Number(size.toPrecision(3))}°`;
  const metres = size * (ground.projection.getMetersPerUnit() ?? 1);
  return metres < 1000 ? `${Number(metres.toPrecision(3))} m` : `${Number((metres / 1000).toPrecision(3))} km`;
}

function megabytes(bytes: number): string {
  return `${Number((bytes / 1e6).toPrecision(2))} MB`;
}
