/** The core of the viewer: stores, codes, scores; no DOM. */

export { codeBytes } from "./budget.js";
export type { ChangeMetric } from "./change.js";
export { type Classes, NO_CLASS } from "./classify.js";
export { type Codes, Encoding } from "./encoding.js";
export { Engine, type EngineOptions, type PixelPlace, type Window, createEngine } from "./engine.js";
export { ViewerError, type ViewerErrorKind, isAbort } from "./errors.js";
export { centreOf, levelFor, pixelAt } from "./geometry.js";
export { type Histogram, histogram, quantile } from "./histogram.js";
export type { Traffic } from "./http.js";
export type { Place } from "./nearest.js";
export { type Metric, largerIsNearer, metricsFor } from "./metric.js";
export { type Query, combine, standout } from "./query.js";
export type { Affine, Grid, Level, Raster, Resolution } from "./grids.js";
export { type MapBand, type MapClass, type MapStore, MapReader, openMap } from "./map.js";
export { type Store, openStore } from "./store.js";
export { type LinearModel, train } from "./train.js";
