// Light or dark, as the system says or as somebody chose.

import { select } from "./dom.js";

const KEY = "geoembz-theme";

export function bindLooks(onChange: () => void): void {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const list = select("theme");
  const apply = () => {
    const isDark = list.value === "dark" || (list.value === "auto" && system.matches);
    document.documentElement.dataset["theme"] = isDark ? "dark" : "light";
    onChange();
  };
  const remembered = recall();
  if (remembered !== null) list.value = remembered;
  list.addEventListener("change", () => {
    remember(list.value);
    apply();
  });
  system.addEventListener("change", apply);
  apply();
}

function recall(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // storage is switched off: the system's looks are taken
  }
}

function remember(theme: string): void {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // it holds until the page is closed
  }
}
