// Read the first code of every pixel through OpenLayers' source for GeoZarr, tile by tile of its finest level.

import GeoZarr from "ol/source/GeoZarr.js";
import { register } from "ol/proj/proj4.js";
import proj4 from "proj4";

const ZONES = [32, 33];
proj4.defs(ZONES.map((zone) => [`EPSG:326${zone}`, `+proj=utm +zone=${zone} +datum=WGS84 +units=m +no_defs +type=crs`]));
register(proj4);

const LOADED = 2, FAILED = 3; // ol/TileState.js

function settled(thing, isDone, error) {
  return new Promise((resolve, reject) => {
    const look = () => (error(thing) ? reject(error(thing)) : isDone(thing) && resolve(thing));
    thing.addEventListener("change", look);
    look();
  });
}

async function read(url, dates) {
  const dimensions = { component: 0, ...(dates ? { time: 1 } : {}) };
  const source = new GeoZarr({ url, variable: "embedding", dimensions });
  const failure = () => source.getState() === "error" && (source.getError() ?? new Error("no reason given"));
  await settled(source, () => source.getState() === "ready", failure);
  const grid = source.tileGrid, z = grid.getMaxZoom(), step = grid.getResolution(z);
  const [left, bottom, right, top] = grid.getExtent();
  const shape = [Math.round((top - bottom) / step), Math.round((right - left) / step)];
  const data = new Array(shape[0] * shape[1]).fill(null);
  const tiles = [];
  grid.forEachTileCoord(grid.getExtent(), z, (coordinate) => tiles.push([...coordinate]));
  for (const [, x, y] of tiles) {
    const tile = source.getTile(z, x, y, 1, source.getProjection());
    tile.load();
    await settled(tile, () => tile.getState() === LOADED, () => tile.getState() === FAILED && (tile.error_ ?? new Error(`tile ${x}, ${y} failed`)));
    const [width, height] = [grid.getTileSize(z)].flat().length === 2 ? grid.getTileSize(z) : [grid.getTileSize(z), grid.getTileSize(z)];
    const [tileLeft, , , tileTop] = grid.getTileCoordExtent([z, x, y]);
    const column = Math.round((tileLeft - left) / step), row = Math.round((top - tileTop) / step);
    const values = tile.getData(), bands = values.length / (width * height);
    for (let i = 0; i < Math.min(height, shape[0] - row); i++) {
      for (let j = 0; j < Math.min(width, shape[1] - column); j++) {
        data[(row + i) * shape[1] + column + j] = values[bands * (i * width + j)];
      }
    }
  }
  const epsg = Number(source.getProjection().getCode().split(":")[1]);
  return { data, shape, transform: [step, 0, left, 0, -step, top], epsg };
}

globalThis.openlayers = ([url, dates]) => read(url, dates).catch((error) => ({ error: String(error) }));
