/** Small pictures: a region cut out of its photograph, and thumbnails. */

/** @import {Example, Maps} from "viewer/types.js" */
/** @import {Model} from "viewer/model.js" */
/** @import {Palette, Rgb} from "viewer/colour.js" */
/** @import {Size} from "viewer/zoom.js" */

import { LOOK, classColours, parse, toGround, veil } from "viewer/colour.js";
import { h } from "viewer/dom.js";
import { context } from "viewer/layers.js";
import { classify } from "viewer/maps.js";

/** @typedef {{left: number, top: number, width: number, height: number}} Box */

/** Long side of the maps that small pictures are made of. */
const SIDE = 640;
/** Around a region, as a part of its size, and at least so many pixels of the map. */
const MARGIN = 0.35;
const LEAST_MARGIN = 6;
/** A crop has at least so many pixels of the map on a side: one would not know what it is. */
const LEAST_SIDE = 48;
/** How much lighter a stripe around a region is. */
const STRIPE = 60;

/** @type {WeakMap<HTMLCanvasElement, object>} the latest call for each canvas */
const latest = new WeakMap();

/**
 * Crop of a region with a contour that is seen, what is around it dimmed; a small region is
 * enlarged. Fills the canvas in the width and height that it has. A later call for the same canvas
 * wins.
 * @param {HTMLCanvasElement} canvas
 * @param {Model} model
 * @param {Example} example
 * @param {number} classId whose pixels are meant where the example has no proposal
 */
export async function drawRegion(canvas, model, example, classId) {
  const call = {};
  latest.set(canvas, call);
  const maps = await model.source.maps(example.image, SIDE);
  const mask = example.proposal !== null && maps.proposals
    ? Uint8Array.from(maps.proposals, (id) => Number(id === example.proposal))
    : Uint8Array.from(classesIn(model, example.image, maps), (id) => Number(id === classId));
  const box = cropAround(boxOf(mask, maps), maps, canvas);
  const enlarged = Math.max(canvas.width / box.width, canvas.height / box.height);
  const side = Math.min(2560, SIDE * 2 ** Math.ceil(Math.log2(Math.max(1, enlarged))));
  const photo = await model.source.photo(example.image, side);
  if (latest.get(canvas) !== call) return;
  const drawing = context(canvas);
  const scale = photo.width / maps.width;
  drawing.imageSmoothingQuality = "high";
  drawing.clearRect(0, 0, canvas.width, canvas.height);
  drawing.drawImage(photo, box.left * scale, box.top * scale, box.width * scale, box.height * scale,
    0, 0, canvas.width, canvas.height);
  if (!mask.includes(1)) return;
  const picture = drawing.getImageData(0, 0, canvas.width, canvas.height);
  outline(picture, shape(mask, maps, box, canvas));
  drawing.putImageData(picture, 0, 0);
}

/**
 * An image as small as it is asked for, with its classes or without. Sets the canvas's width and
 * height. A later call for the same canvas wins.
 * @param {HTMLCanvasElement} canvas
 * @param {Model} model
 * @param {number} image
 * @param {{overlay?: boolean, side?: number, palette?: Palette, opacity?: number}} [options]
 */
export async function drawThumb(canvas, model, image, options = {}) {
  const { overlay = true, side = 320, palette = "named", opacity = LOOK.opacity } = options;
  const call = {};
  latest.set(canvas, call);
  const [photo, maps] = await Promise.all([
    model.source.photo(image, side), overlay ? model.source.maps(image, side) : null]);
  if (latest.get(canvas) !== call) return;
  const scale = Math.min(1, side / Math.max(photo.width, photo.height));
  canvas.width = Math.max(1, Math.round(photo.width * scale));
  canvas.height = Math.max(1, Math.round(photo.height * scale));
  const drawing = context(canvas);
  drawing.imageSmoothingQuality = "high";
  drawing.drawImage(photo, 0, 0, canvas.width, canvas.height);
  if (!maps) return;
  const picture = drawing.getImageData(0, 0, canvas.width, canvas.height);
  tint(picture, classesIn(model, image, maps), maps, classColours(model, palette), opacity);
  drawing.putImageData(picture, 0, 0);
}

/**
 * @param {Model} model
 * @param {number} image
 * @param {Maps} maps
 */
function classesIn(model, image, maps) {
  const ignored = new Set(model.state.classes.filter((one) => one.ignore).map((one) => one.id));
  return classify(maps, model.owner, model.said(image), ignored);
}

/**
 * Classes over the ground of a photograph, in place; a fine dark line where another class begins.
 * @param {ImageData} picture
 * @param {Uint8Array} classes
 * @param {Size} map
 * @param {Map<number, string>} colours
 * @param {number} opacity
 */
function tint(picture, classes, map, colours, opacity) {
  const { data, width, height } = picture;
  /** @type {(Rgb | undefined)[]} */
  const paints = [];
  for (const [id, colour] of colours) paints[id] = parse(colour);
  const at = (/** @type {number} */ x, /** @type {number} */ y) =>
    classes[Math.floor(((y + 0.5) / height) * map.height) * map.width
      + Math.floor(((x + 0.5) / width) * map.width)];
  const bare = data.slice();
  toGround(data);
  const part = veil(opacity);
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1) {
      const i = 4 * (y * width + x);
      const id = at(x, y);
      const paint = paints[id];
      const border = (x + 1 < width && at(x + 1, y) !== id)
        || (y + 1 < height && at(x, y + 1) !== id);
      for (let k = 0; k < 3; k += 1) {
        const ground = bare[i + k] * (1 - part) + data[i + k] * part;
        const value = paint ? ground * (1 - opacity) + paint[k] * opacity : ground;
        data[i + k] = border ? value * 0.45 : value;
      }
    }
}

// ---- regions ----------------------------------------------------------------------------------

/**
 * @param {Uint8Array} mask
 * @param {Size} map
 * @returns {Box} that holds all of the mask; the whole map where it is empty
 */
function boxOf(mask, { width, height }) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let i = 0; i < mask.length; i += 1) {
    if (!mask[i]) continue;
    const x = i % width;
    const y = (i - x) / width;
    if (x < left) left = x;
    if (x > right) right = x;
    if (y < top) top = y;
    bottom = y;
  }
  if (right < 0) return { left: 0, top: 0, width, height };
  return { left, top, width: right + 1 - left, height: bottom + 1 - top };
}

/**
 * A box with its margin, in the aspect of a canvas, inside the map where there is room.
 * @param {Box} box
 * @param {Size} map
 * @param {Size} canvas
 * @returns {Box}
 */
export function cropAround(box, map, canvas) {
  const aspect = canvas.width / canvas.height;
  const padded = (/** @type {number} */ size) =>
    Math.max(LEAST_SIDE, size + 2 * Math.max(LEAST_MARGIN, MARGIN * size));
  let width = Math.max(padded(box.width), padded(box.height) * aspect);
  width = Math.min(width, map.width, map.height * aspect);
  const height = width / aspect;
  return {
    left: place(box.left + box.width / 2, width, map.width),
    top: place(box.top + box.height / 2, height, map.height),
    width, height,
  };
}

/**
 * @param {number} middle
 * @param {number} size
 * @param {number} room
 */
function place(middle, size, room) {
  return Math.max(0, Math.min(room - size, middle - size / 2));
}

/**
 * A mask at the size of a canvas, with smooth edges: 0 to 255.
 * @param {Uint8Array} mask
 * @param {Size} map
 * @param {Box} box
 * @param {Size} canvas
 */
function shape(mask, map, box, canvas) {
  const whole = h("canvas", { width: map.width, height: map.height });
  const picture = new ImageData(map.width, map.height);
  for (let i = 0; i < mask.length; i += 1) picture.data[4 * i + 3] = 255 * mask[i];
  context(whole).putImageData(picture, 0, 0);
  const cut = h("canvas", { width: canvas.width, height: canvas.height });
  const drawing = context(cut);
  drawing.drawImage(whole, box.left, box.top, box.width, box.height,
    0, 0, canvas.width, canvas.height);
  const { data } = drawing.getImageData(0, 0, canvas.width, canvas.height);
  return Uint8Array.from({ length: canvas.width * canvas.height }, (_, i) => data[4 * i + 3]);
}

/**
 * Dim and hatch what is outside; a white line along the border, a black one around it. Dim alone is
 * not enough: on a dark photograph nobody would know which side of the line is meant.
 * @param {ImageData} picture
 * @param {Uint8Array} inside 0 to 255
 */
function outline({ data, width, height }, inside) {
  const thick = Math.max(2, Math.round(Math.max(width, height) / 110));
  const white = grown(inside, width, height, thick);
  const black = grown(white, width, height, Math.ceil(thick / 2));
  for (let i = 0; i < inside.length; i += 1) {
    if (inside[i] >= 128) continue;
    const grey = 0.2126 * data[4 * i] + 0.7152 * data[4 * i + 1] + 0.0722 * data[4 * i + 2];
    const stripe = ((i % width) + Math.floor(i / width)) % (5 * thick) < thick / 2 ? STRIPE : 0;
    for (let k = 0; k < 3; k += 1) {
      const dimmed = 0.5 * (0.5 * data[4 * i + k] + 0.5 * grey) + stripe;
      data[4 * i + k] = white[i] ? 255 : black[i] ? 0 : dimmed;
    }
  }
}

/**
 * A mask with so many pixels more on every side.
 * @param {Uint8Array} mask from 128 on = inside
 * @param {number} width
 * @param {number} height
 * @param {number} reach
 */
function grown(mask, width, height, reach) {
  const rows = new Uint8Array(mask.length);
  const out = new Uint8Array(mask.length);
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1) {
      if (mask[y * width + x] < 128) continue;
      const from = y * width + Math.max(0, x - reach);
      rows.fill(255, from, y * width + Math.min(width, x + reach + 1));
    }
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1) {
      if (!rows[y * width + x]) continue;
      const last = Math.min(height - 1, y + reach);
      for (let row = Math.max(0, y - reach); row <= last; row += 1) out[row * width + x] = 255;
    }
  return out;
}
