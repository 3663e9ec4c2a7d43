// The panel's other parts: clicks, keys, colours, time, labels, the page itself.

import { App } from "./app.js";
import { button, element, input, make, options, select } from "./dom.js";
import { tried } from "./errors.js";
import { refine } from "./fineness.js";
import type { LonLat } from "./geography.js";
import { showLegend } from "./legend.js";
import { PALETTES, classColour, css } from "./palette.js";
import { peek } from "./pointer.js";
import type { MapView } from "./view.js";
import type { Traffic } from "../core/index.js";

type Mode = "new" | "for" | "against" | "label";

function mode(): Mode {
  return (document.querySelector<HTMLInputElement>("#mode input:checked")?.value ?? "new") as Mode;
}

function setMode(wanted: Mode): void {
  document.querySelector<HTMLInputElement>(`#mode input[value="${wanted}"]`)!.checked = true;
}

/** Do at a place what a click does in a mode. */
function act(app: App, place: LonLat, wanted: Mode): void {
  if (wanted !== "label") {
    tried(app.search.addExample(place, wanted));
    return;
  }
  if (app.labels.classes.length === 0) app.labels.addClass("class 1");
  const chosen = document.querySelector<HTMLInputElement>("#classes input:checked")?.value;
  tried(app.label(place, chosen ?? app.labels.classes[0]!));
}

export function bindMap(app: App): void {
  const { map } = app.view;
  map.on("click", (event) => {
    const keys = event.originalEvent as MouseEvent;
    const wanted = keys.altKey ? "against" : keys.shiftKey ? "for" : mode();
    const place = app.view.lonLat(event.coordinate);
    act(app, place, wanted);
    peek(app, place).then((show) => show(), () => undefined);
  });
  let waiting: ReturnType<typeof setTimeout> | undefined;
  map.on("moveend", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => app.look().catch(() => undefined), 200); // tiles say what is wrong
  });
  let isLoading = false;
  const showBusy = () => {
    element("busy").hidden = !isLoading && app.waiting === 0;
    showTraffic(app.traffic);
  };
  map.on("loadstart", () => { isLoading = true; showBusy(); });
  map.on("loadend", () => { isLoading = false; showBusy(); });
  app.addEventListener("busy", showBusy);
  bindKeys(app);
}

function bindKeys(app: App): void {
  const modes: Record<string, Mode> = { f: "new", e: "for", c: "against", l: "label" };
  document.addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches("input[type=text], input[type=url], input[type=number], select")) return;
    const wanted = modes[event.key.toLowerCase()];
    if (wanted !== undefined) setMode(wanted);
    else if (event.key.toLowerCase() === "r") tried(refine(app));
    else if (event.key === "Escape") tried(app.search.find([]));
    else if (event.key === "[" || event.key === "]") step(app, event.key === "]" ? 1 : -1);
    else if (event.key === "Enter" && target.id === "map") act(app, app.view.lonLat(app.view.map.getView().getCenter()!), mode());
    else return;
    event.preventDefault();
  });
}

function step(app: App, by: number): void {
  const next = app.dates[app.dates.indexOf(app.date ?? "") + by];
  if (next !== undefined) tried(app.setDate(next));
}

export function bindColours(app: App): void {
  const { encoding, grids } = app.store;
  const bands = grids[0]!.bandNames;
  const isBand = bands !== null && bands.length === encoding.nComponents && !encoding.isOrdered;
  const names = Array.from({ length: encoding.nComponents }, (_, i) => (isBand && bands[i]) || String(i + 1));
  const channels = ["red", "green", "blue"].map(select);
  for (const channel of channels) {
    options(channel, names, names.map((_, i) => String(i)));
    channel.addEventListener("change", () => app.setComponents(channels.map((each) => Number(each.value))));
  }
  const last = encoding.nComponents - 1;
  button("plain").addEventListener("click", () => app.setComponents([0, Math.min(1, last), Math.min(2, last)]));
  options(select("palette"), PALETTES);
  select("palette").addEventListener("change", () => app.restyle({ palette: select("palette").value }));
  input("opacity").addEventListener("input", () => app.restyle({ opacity: Number(input("opacity").value) / 100 }));
  app.addEventListener("change", () => {
    channels.forEach((channel, i) => { channel.value = String(app.components[i]); });
    showLegend(app);
  });
}

export function bindTime(app: App): void {
  element("times").hidden = app.dates.length < 2;
  input("date").max = String(app.dates.length - 1);
  input("date").addEventListener("input", () => tried(app.setDate(app.dates[Number(input("date").value)]!)));
  options(select("since"), app.dates);
  const compare = () => tried(app.showChange(input("change").checked ? select("since").value : null));
  input("change").addEventListener("change", compare);
  select("since").addEventListener("change", () => input("change").checked && compare());
  app.addEventListener("change", () => {
    input("date").value = String(app.dates.indexOf(app.date ?? ""));
    input("date").setAttribute("aria-valuetext", app.date ?? "");
    element("date-value").textContent = app.date;
    input("change").checked = app.since !== null;
  });
}

export function bindLabels(app: App): void {
  const add = () => {
    if (!app.labels.addClass(input("class-name").value)) return;
    const name = app.labels.classes.at(-1)!;
    input("class-name").value = "";
    setMode("label");
    app.changed();
    document.querySelector<HTMLInputElement>(`#classes input[value="${CSS.escape(name)}"]`)!.checked = true;
  };
  button("add-class").addEventListener("click", add);
  input("class-name").addEventListener("keydown", (event) => event.key === "Enter" && add());
  button("train").addEventListener("click", () => tried(Promise.resolve().then(() => app.mapClasses())));
  button("download").addEventListener("click", () => {
    const file = new Blob([app.labels.toGeoJson()], { type: "application/geo+json" });
    const link = make("a", "", { href: URL.createObjectURL(file), download: "labels.geojson" });
    link.click();
    URL.revokeObjectURL(link.href);
  });
  app.addEventListener("change", () => showClasses(app));
}

function showClasses(app: App): void {
  const chosen = document.querySelector<HTMLInputElement>("#classes input:checked")?.value;
  const { classes, points, isTrainable } = app.labels;
  element("classes").replaceChildren(...classes.map((name, i) => {
    const item = make("li"), label = make("label"), dot = make("i");
    const radio = make("input", "", { type: "radio", name: "class", value: name });
    radio.checked = name === (chosen !== undefined && classes.includes(chosen) ? chosen : classes[0]);
    dot.style.background = css(classColour(i));
    label.append(radio, ` ${name} (${app.labels.count(name)})`);
    const remove = make("button", "×", { type: "button", "aria-label": `Remove the class ${name}` });
    remove.addEventListener("click", () => {
      app.labels.removeClass(name);
      app.mark();
      app.changed();
    });
    item.append(dot, label, remove);
    return item;
  }));
  button("train").disabled = !isTrainable;
  button("download").disabled = points.length === 0;
}

export function bindPage(app: App): void {
  const { store } = app;
  element("name").textContent = app.name;
  document.title = `${app.name} – geoembz view`;
  const level = store.grids[0]!.levels[0]!;
  const size = store.grids.length === 1 ? `${level.width} × ${level.height} pixels` : `${store.grids.length} grids`;
  const about = [store.recipe, size, `${store.encoding.nComponents} components`];
  if (app.view.isBounded) about.push("without overviews, so it is drawn part by part (geoembz overviews adds them)");
  element("about").textContent = about.join(", ");
  if (app.grounds.length > 1) {
    element("grids").replaceChildren(...app.grounds.map((ground) => {
      const item = make("li"), show = make("button", ground.grid.name, { type: "button" });
      show.addEventListener("click", () => app.view.showGrid(ground));
      item.append(show);
      return item;
    }));
  }
  bindBaseMap(app.view);
  showTraffic(app.traffic);
}

export function bindBaseMap(view: MapView): void {
  input("basemap").addEventListener("change", () => view.showBaseMap(input("basemap").value.trim()));
}

export function showTraffic({ requests, bytes }: Traffic): void {
  element("traffic").textContent = `${requests.toLocaleString("en")} requests, ${(bytes / 1e6).toFixed(1)} MB read.`;
}
