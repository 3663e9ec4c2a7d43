// The page: open what it was told of, a store with maps over it or maps alone, draw it, listen.

import "ol/ol.css";
import { createEngine, openMap, openStore } from "./core/index.js";
import { type GeoembzPage, type Shown, pageOf } from "./page/api.js";
import { App, type Told } from "./page/app.js";
import { element } from "./page/dom.js";
import { bindErrors, showError } from "./page/errors.js";
import { bindLooks } from "./page/looks.js";
import { MapLayer } from "./page/maps.js";
import { bindMaps } from "./page/mapspanel.js";
import { openAlone } from "./page/alone.js";
import { bindColours, bindLabels, bindMap, bindPage, bindTime } from "./page/panel.js";
import { bindPointer } from "./page/pointer.js";
import { bindResults } from "./page/results.js";
import { bindFineness } from "./page/fineness.js";
import { MOST_BYTES } from "./page/scale.js";
import type { MapView } from "./page/view.js";

declare global {
  interface Window { geoembz: GeoembzPage }
}

interface Place { url: string; name: string }

function meta(name: string): string {
  return document.querySelector<HTMLMetaElement>(`meta[name="${name}"]`)?.content ?? "";
}

function whole(address: string): string {
  return new URL(address, location.href).href.replace(/\/+$/, "");
}

/** The store in the address (`?store=…`), or the one that this page was made for, and what is told of it; null for none. */
function whichStore(asked: URLSearchParams): (Told & { url: string }) | null {
  const named = asked.get("store");
  if (named !== null) return { url: whole(named), name: whole(named), mostBytes: MOST_BYTES };
  const told = meta("geoembz-store");
  if (told === "" || asked.has("map")) return null;
  const url = whole(told);
  return { url, name: meta("geoembz-name") || url, mostBytes: Number(meta("geoembz-at-once")) || MOST_BYTES };
}

/** The maps in the address (`?map=…`), or those that this page was made for. */
function whichMaps(asked: URLSearchParams): Place[] {
  const named = asked.getAll("map");
  if (named.length > 0) return named.map((address) => ({ url: whole(address), name: whole(address) }));
  const told = asked.has("store") ? "" : meta("geoembz-maps");
  const places = told === "" ? [] : (JSON.parse(told) as Place[]);
  return places.map(({ url, name }) => ({ url: whole(url), name }));
}

async function open(): Promise<Shown & { view: MapView }> {
  const asked = new URLSearchParams(location.search);
  const told = whichStore(asked), places = whichMaps(asked);
  if (told === null && places.length === 0) throw new Error("no store is named; open this page with ?store=ADDRESS at its end");
  const opening = places.map(async ({ url, name }, index) => new MapLayer(index, await openMap(url), name, showError));
  const [store, ...maps] = await Promise.all([told && openStore(told.url), ...opening]);
  if (store === null || told === null) return { app: null, maps, view: openAlone(maps, element("map")) };
  const app = new App(store, createEngine(store), told, maps, element("map"));
  app.addEventListener("fail", (event) => showError((event as CustomEvent).detail));
  for (const bind of [bindPage, bindMap, bindFineness, bindPointer, bindResults, bindColours, bindTime, bindLabels]) bind(app);
  bindMaps(app.view);
  app.changed();
  return { app, maps, view: app.view };
}

bindErrors();
const opening = open();
const ready = opening.then(({ view }) => view.drawn());
opening.then(({ app }) => bindLooks(() => app?.changed()), (error: unknown) => {
  bindLooks(() => undefined);
  showError(error);
});
window.geoembz = pageOf(opening, ready);
