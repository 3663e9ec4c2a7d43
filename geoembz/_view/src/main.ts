/** The page: opens the store that its address names (`?store=URL`). */

import { createEngine, openStore } from "./core/index.js";

const url = new URLSearchParams(location.search).get("store") ?? "";
const store = await openStore(url);
document.title = `${store.recipe} ${url}`;
createEngine(store);
