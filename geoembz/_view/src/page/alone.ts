// Maps without the store that they were made of: nothing is computed, so the panel has no more than them.

import { element } from "./dom.js";
import { showError } from "./errors.js";
import { type MapLayer, trafficOf } from "./maps.js";
import { bindMaps } from "./mapspanel.js";
import { bindBaseMap, showTraffic } from "./panel.js";
import { inWords } from "./spots.js";
import { MapView } from "./view.js";

/** Show maps alone; return their view. */
export function openAlone(maps: readonly MapLayer[], target: HTMLElement): MapView {
  for (const part of document.querySelectorAll<HTMLElement>(".of-store")) part.hidden = true;
  const nothing = async () => null;
  const view = new MapView(target, [], maps, { colours: nothing, overlay: nothing }, showError);
  const [first] = maps;
  element("name").textContent = maps.length === 1 ? first!.name : `${maps.length} maps`;
  element("about").textContent = "Without a store; geoembz view STORE MAP shows both.";
  document.title = `${element("name").textContent} – geoembz view`;
  for (const map of maps) map.layer.setOpacity(1);
  bindMaps(view);
  bindBaseMap(view);
  view.map.on("pointermove", ({ coordinate }) => { element("here").textContent = inWords(view.lonLat(coordinate)); });
  view.map.on("loadstart", () => { element("busy").hidden = false; });
  view.map.on("loadend", () => {
    element("busy").hidden = true;
    showTraffic(trafficOf(maps));
  });
  return view;
}
