/**
 * Colours of classes and how they look on a photograph. Pure functions: those that draw are those
 * that the tests measure.
 *
 * A class must look alike wherever it lies. So the photograph under it loses its colour and most of
 * its contrast (the ground), and the legend shows what is on the screen: the class colour over the
 * middle of the ground.
 */

/** @import {Model} from "viewer/model.js" */

/** @typedef {[number, number, number]} Rgb 0..255 */
/**
 * Colours of the table, or those told apart by colour-blind people.
 * @typedef {"named" | "safe"} Palette
 */

export const LOOK = {
  /** Of class colours over the ground, to begin with. */
  opacity: 0.65,
  /** The ground's tones: middle + contrast * (luma - middle). */
  middle: 127.5,
  contrast: 0.42,
  /** How many times its even share of the ground's tones a brightness may take. */
  spread: 4,
  /** From this opacity on the ground is grey; below, the photograph's colours come back. */
  veiled: 0.4,
  /** Of the two lines of a contour. */
  dark: 0.85,
  light: 0.95,
  /** Of classes beside an isolated one, as a part of the opacity. */
  faded: 0.1,
};

/**
 * Told apart with normal sight, deuteranopia and protanopia at `LOOK.opacity`: the first
 * `SAFE_CLASSES`. Found by a search that maximises the smallest distance in CIE Lab over the three
 * kinds of sight; each further one is the farthest of all before it, with less and less room.
 */
export const SAFE_COLOURS = [
  "#0000ff", "#ffe200", "#008dff", "#ff0000", "#8d0071", "#00ffff", "#55ff55", "#ffaa8d",
  "#387100", "#c60038", "#1c38e2", "#aa71aa", "#e200c6", "#e2c671", "#ff8d00", "#55c6ff",
  "#8d1c55", "#8dffe2", "#8dff38", "#00ffaa",
];
export const SAFE_CLASSES = 8;

/** Cividis in five steps (Nuñez, Anderton, Renslow 2018): the same to colour-blind eyes. */
const CIVIDIS = ["#00224e", "#414d6b", "#7d7c78", "#bcae6c", "#fee838"];

/**
 * @param {string} colour "#rrggbb"
 * @returns {Rgb}
 */
export function parse(colour) {
  const value = Number.parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** @param {readonly number[]} rgb */
export function hex(rgb) {
  return "#" + rgb.map((value) => Math.round(value).toString(16).padStart(2, "0")).join("");
}

/**
 * @param {Rgb} below
 * @param {Rgb} above
 * @param {number} opacity of the one above
 * @returns {Rgb}
 */
export function mix(below, above, opacity) {
  const part = (/** @type {number} */ i) => below[i] * (1 - opacity) + above[i] * opacity;
  return [part(0), part(1), part(2)];
}

/**
 * The tone of a colour in the ground of a photograph that has all brightnesses alike: its luma
 * (Rec. 709) with less contrast. Others differ (`groundTones`), within the same range.
 * @param {number} r
 * @param {number} g
 * @param {number} b
 */
export function tone(r, g, b) {
  const bright = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return LOOK.middle + LOOK.contrast * (bright - LOOK.middle);
}

/**
 * How much of the photograph's own colour the ground takes away at an opacity of the classes.
 * @param {number} opacity
 */
export function veil(opacity) {
  return Math.min(1, opacity / LOOK.veiled);
}

/**
 * What is on the screen where a class lies over a photograph.
 * @param {Rgb} colour of the class
 * @param {Rgb} photo of the photograph there
 * @param {number} opacity
 * @returns {Rgb}
 */
export function displayed(colour, photo, opacity) {
  const grey = tone(...photo);
  return mix(mix(photo, [grey, grey, grey], veil(opacity)), colour, opacity);
}

/**
 * A class as the legend shows it: over the middle of the ground.
 * @param {Rgb} colour
 * @param {number} opacity
 */
export function swatch(colour, opacity) {
  return displayed(colour, [LOOK.middle, LOOK.middle, LOOK.middle], opacity);
}

/**
 * Tones of the ground by the luma of a photograph. Brightnesses that are frequent in it take more
 * room (its histogram equalised, with a limit; Pizer et al. 1987): something is seen under the
 * colours of a dark street too, and no tone leaves the range that colours were chosen for.
 * @param {Uint8ClampedArray} data RGBA
 */
export function groundTones(data) {
  const counts = new Uint32Array(256);
  for (let i = 0; i < data.length; i += 4) counts[luma(data, i)] += 1;
  const limit = Math.max(1, Math.floor((LOOK.spread * data.length) / 4 / 256));
  const shares = Array.from(counts, (count) => Math.min(count, limit));
  const kept = shares.reduce((sum, count) => sum + count, 0);
  const even = (data.length / 4 - kept) / 256;
  const tones = new Uint8Array(256);
  let below = 0;
  shares.forEach((count, level) => {
    const place = (below + (count + even) / 2) / (data.length / 4);
    tones[level] = Math.round(LOOK.middle + LOOK.contrast * (255 * place - LOOK.middle));
    below += count + even;
  });
  return tones;
}

/**
 * Luma (Rec. 709) in whole numbers.
 * @param {Uint8ClampedArray} data RGBA
 * @param {number} i where the pixel begins
 */
function luma(data, i) {
  return (54 * data[i] + 183 * data[i + 1] + 19 * data[i + 2]) >> 8;
}

/**
 * Turn a photograph into the ground, in place.
 * @param {Uint8ClampedArray} data RGBA
 */
export function toGround(data) {
  const tones = groundTones(data);
  for (let i = 0; i < data.length; i += 4)
    data[i] = data[i + 1] = data[i + 2] = tones[luma(data, i)];
}

// ---- which class has which colour -------------------------------------------------------------

/**
 * "#rrggbb" by class id. The safe palette goes by the order of ids, so that naming and correcting
 * leave it as it is.
 * @param {Model} model
 * @param {Palette} palette
 * @returns {Map<number, string>}
 */
export function classColours(model, palette) {
  const shown = model.state.classes.filter((entry) => !entry.ignore).sort((a, b) => a.id - b.id);
  return new Map(shown.map((entry, index) =>
    [entry.id, palette === "safe" ? SAFE_COLOURS[index % SAFE_COLOURS.length] : entry.colour]));
}

/**
 * The colour that a class has on the screen, for swatches beside label maps.
 * @param {Model} model
 * @param {number} id
 * @param {{palette?: Palette, opacity?: number}} [options]
 */
export function classSwatch(model, id, { palette = "named", opacity = LOOK.opacity } = {}) {
  const colour = classColours(model, palette).get(id);
  return hex(colour ? swatch(parse(colour), opacity) : [LOOK.middle, LOOK.middle, LOOK.middle]);
}

/**
 * One number as canvas pixels hold it.
 * @param {Rgb} rgb
 * @param {number} alpha 0..255
 */
export function pixel([r, g, b], alpha = 255) {
  return ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/**
 * Pixels by class id; classes that are not in the map are clear.
 * @param {Map<number, string>} colours
 * @param {number | null} [isolated] all others are faded
 */
export function classTable(colours, isolated = null) {
  const table = new Uint32Array(256);
  const faded = Math.round(255 * LOOK.faded);
  for (const [id, colour] of colours)
    table[id] = pixel(parse(colour), isolated === null || isolated === id ? 255 : faded);
  return table;
}

/**
 * Pixels by certainty 0..255: what is unsure is bright.
 * @param {[number, number]} range values that have the brightest and the darkest colour
 */
export function certaintyTable([low, high]) {
  const steps = CIVIDIS.map(parse);
  return Uint32Array.from({ length: 256 }, (_, value) => {
    const part = Math.min(1, Math.max(0, (value - low) / Math.max(1, high - low)));
    const place = (1 - part) * (steps.length - 1);
    const first = Math.min(Math.floor(place), steps.length - 2);
    return pixel(/** @type {Rgb} */ (
      mix(steps[first], steps[first + 1], place - first).map(Math.round)));
  });
}

/**
 * The colours of the certainty layer on the screen, from unsure to sure.
 * @param {number} opacity
 */
export function certaintyRamp(opacity) {
  return CIVIDIS.map((colour) => hex(swatch(parse(colour), opacity))).reverse();
}

// ---- how far apart colours are ----------------------------------------------------------------

/** @param {number} value 0..255, sRGB */
function linear(value) {
  const part = value / 255;
  return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
}

/** @param {number} part 0..1, linear */
function encoded(part) {
  return 255 * (part <= 0.0031308 ? 12.92 * part : 1.055 * part ** (1 / 2.4) - 0.055);
}

/**
 * @param {number[][]} matrix
 * @param {number[]} vector
 */
function times(matrix, vector) {
  return matrix.map((row) => row.reduce((sum, value, i) => sum + value * vector[i], 0));
}

const TO_XYZ = [
  [0.4124564, 0.3575761, 0.1804375],
  [0.2126729, 0.7151522, 0.072175],
  [0.0193339, 0.119192, 0.9503041],
];
const WHITE = [0.95047, 1, 1.08883];

/**
 * CIE Lab, white D65.
 * @param {Rgb} rgb
 * @returns {Rgb} L, a, b
 */
export function lab(rgb) {
  const [x, y, z] = times(TO_XYZ, rgb.map(linear)).map((value, i) => {
    const part = value / WHITE[i];
    return part > 216 / 24389 ? Math.cbrt(part) : (part * 24389 / 27 + 16) / 116;
  });
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

/**
 * Distance in CIE Lab (Delta E 1976).
 * @param {Rgb} one
 * @param {Rgb} other
 */
export function distance(one, other) {
  const [a, b] = [lab(one), lab(other)];
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

/**
 * Complete dichromacy in linear RGB: Machado, Oliveira, Fernandes, "A Physiologically-based Model
 * for Simulation of Color Vision Deficiency", 2009, table 1, severity 1.0.
 * @type {Record<"deuteranopia" | "protanopia", number[][]>}
 */
const DICHROMACY = {
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
};

/**
 * A colour as a colour-blind person sees it.
 * @param {Rgb} rgb
 * @param {"deuteranopia" | "protanopia"} kind
 * @returns {Rgb}
 */
export function seenBy(rgb, kind) {
  const [r, g, b] = times(DICHROMACY[kind], rgb.map(linear))
    .map((part) => encoded(Math.min(1, Math.max(0, part))));
  return [r, g, b];
}

/**
 * Contrast of WCAG 2: 1 to 21.
 * @param {Rgb} one
 * @param {Rgb} other
 */
export function contrast(one, other) {
  const light = (/** @type {Rgb} */ rgb) => times(TO_XYZ, rgb.map(linear))[1] + 0.05;
  const [a, b] = [light(one), light(other)];
  return Math.max(a, b) / Math.min(a, b);
}

/**
 * Contrast of a contour with what it lies on: of that of its two lines which stands out more.
 * @param {Rgb} ground
 */
export function contourContrast(ground) {
  return Math.max(
    contrast(mix(ground, [0, 0, 0], LOOK.dark), ground),
    contrast(mix(ground, [255, 255, 255], LOOK.light), ground));
}
