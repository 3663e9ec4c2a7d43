// Colours that also those tell apart who do not see all of them.

export type RGB = readonly [number, number, number];

// Nine anchors each of matplotlib's maps (CC0), equally spaced.
const ANCHORS: Record<string, readonly RGB[]> = {
  viridis: [
    [68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142],
    [31, 158, 137], [53, 183, 121], [110, 206, 88], [253, 231, 37],
  ],
  cividis: [
    [0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115],
    [138, 134, 120], [165, 156, 116], [195, 179, 105], [254, 232, 56],
  ],
  greys: [[20, 20, 20], [250, 250, 250]],
};

export const PALETTES = Object.keys(ANCHORS);
export const STEPS = 256;

/** Return 256 colours, three bytes each, from low to high. */
export function ramp(name: string): Uint8Array {
  const anchors = ANCHORS[name] ?? ANCHORS["viridis"]!;
  const colours = new Uint8Array(STEPS * 3);
  for (let step = 0; step < STEPS; step++) {
    const place = (step / (STEPS - 1)) * (anchors.length - 1);
    const left = Math.min(Math.floor(place), anchors.length - 2);
    for (let channel = 0; channel < 3; channel++) {
      const from = anchors[left]![channel]!, to = anchors[left + 1]![channel]!;
      colours[step * 3 + channel] = Math.round(from + (to - from) * (place - left));
    }
  }
  return colours;
}

// M. Okabe and K. Ito, Color Universal Design (2008), without black; then lighter ones.
const CLASSES: readonly RGB[] = [
  [0, 114, 178], [230, 159, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233],
  [213, 94, 0], [240, 228, 66], [120, 94, 60], [150, 150, 150], [100, 60, 160],
];

export function classColour(index: number): RGB {
  return CLASSES[index % CLASSES.length]!;
}

export function css(colour: RGB): string {
  return `rgb(${colour.join(" ")})`;
}
