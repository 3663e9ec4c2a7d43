// The page: open the store that it was told of, draw it, listen.

import "ol/ol.css";
import { createEngine, openStore } from "./core/index.js";
import { type GeoembzPage, pageOf } from "./page/api.js";
import { App, type Told } from "./page/app.js";
import { element } from "./page/dom.js";
import { bindErrors, showError } from "./page/errors.js";
import { bindLooks } from "./page/looks.js";
import { bindColours, bindLabels, bindMap, bindPage, bindTime } from "./page/panel.js";
import { bindPointer } from "./page/pointer.js";
import { bindResults } from "./page/results.js";
import { bindFineness } from "./page/fineness.js";
import { MOST_BYTES } from "./page/scale.js";

declare global {
  interface Window { geoembz: GeoembzPage }
}

function meta(name: string): string {
  return document.querySelector<HTMLMetaElement>(`meta[name="${name}"]`)?.content ?? "";
}

/** The store in the address (`?store=…`), or the one that this page was made for, and what is told of it. */
function whichStore(): Told & { url: string } {
  const asked = new URLSearchParams(location.search).get("store");
  const told = asked ?? meta("geoembz-store");
  if (told === "") throw new Error("no store is named; open this page with ?store=ADDRESS at its end");
  const url = new URL(told, location.href).href.replace(/\/+$/, "");
  if (asked !== null) return { url, name: url, mostBytes: MOST_BYTES };
  return { url, name: meta("geoembz-name") || url, mostBytes: Number(meta("geoembz-at-once")) || MOST_BYTES };
}

async function open(): Promise<App> {
  const { url, ...told } = whichStore();
  const store = await openStore(url);
  const app = new App(store, createEngine(store), told, element("map"));
  app.addEventListener("fail", (event) => showError((event as CustomEvent).detail));
  for (const bind of [bindPage, bindMap, bindFineness, bindPointer, bindResults, bindColours, bindTime, bindLabels]) bind(app);
  app.changed();
  return app;
}

bindErrors();
const opening = open();
const ready = opening.then((app) => app.view.drawn());
opening.then((app) => bindLooks(() => app.changed()), (error: unknown) => {
  bindLooks(() => undefined);
  showError(error);
});
window.geoembz = pageOf(opening, ready);
