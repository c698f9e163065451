/**
 * The pictures of a photograph, one above the other. The browser joins them: opacity, zoom, pan and
 * the compare handle change styles only, no pixel is painted anew.
 *
 * From below: the photograph; and, cut off by the compare handle, its ground, the fill (classes or
 * certainties, as large as the map), contours, what is selected, what is hovered (as large as the
 * window, so that lines are equally thin at every zoom).
 */

/** @import {Size, View} from "viewer/zoom.js" */
/** @import {Sample} from "viewer/maps.js" */

import { LOOK, pixel, toGround, veil } from "viewer/colour.js";
import { h } from "viewer/dom.js";
import { mark, outlines } from "viewer/maps.js";

/** Of the canvases that are as large as the window; more would cost too much per frame. */
const MOST_PIXELS = 2_000_000;

const LINES = {
  dark: pixel([0, 0, 0], Math.round(255 * LOOK.dark)),
  light: pixel([255, 255, 255], Math.round(255 * LOOK.light)),
};
const HATCH = { hatchDark: pixel([0, 0, 0], 90), hatchLight: pixel([255, 255, 255], 190) };
const NO_HATCH = { hatchDark: 0, hatchLight: 0 };

/** The stack of canvases, and what moves, blends and cuts it. */
export class Layers {
  constructor() {
    this.base = h("canvas", { class: "photo-base" });
    this.ground = h("canvas", { class: "photo-ground" });
    this.fill = h("canvas", { class: "photo-fill" });
    this.lines = h("canvas", { class: "photo-lines" });
    this.chosen = h("canvas", { class: "photo-chosen" });
    this.hovered = h("canvas", { class: "photo-hovered" });
    this.below = h("div", { class: "photo-stage" }, this.base);
    this.above = h("div", { class: "photo-stage" }, this.ground, this.fill);
    this.over = h("div", { class: "photo-over" },
      this.above, this.lines, this.chosen, this.hovered);
    this.element = h("div", { class: "photo-layers", "aria-hidden": "true" },
      this.below, this.over);
    /** @type {Size} */
    this.window = { width: 1, height: 1 };
    /** @type {View} the view for which contours and marks are drawn */
    this.drawn = { scale: 1, x: 0, y: 0 };
    /** Canvas pixels per CSS pixel. */
    this.ratio = 1;
  }

  /**
   * The size of the photograph in its own pixels: the unit of the view.
   * @param {Size} size
   */
  setSize(size) {
    for (const canvas of [this.base, this.ground, this.fill]) {
      canvas.style.width = `${size.width}px`;
      canvas.style.height = `${size.height}px`;
    }
  }

  /** @param {Size} window CSS pixels */
  setWindow(window) {
    this.window = window;
    const most = Math.sqrt(MOST_PIXELS / (window.width * window.height));
    this.ratio = Math.min(globalThis.devicePixelRatio || 1, most);
    for (const canvas of [this.lines, this.chosen, this.hovered]) {
      canvas.width = Math.max(1, Math.round(window.width * this.ratio));
      canvas.height = Math.max(1, Math.round(window.height * this.ratio));
    }
  }

  /** @param {ImageBitmap} bitmap */
  setPhoto(bitmap) {
    for (const canvas of [this.base, this.ground])
      [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    context(this.base).drawImage(bitmap, 0, 0);
    const ground = context(this.ground);
    ground.drawImage(bitmap, 0, 0);
    const picture = ground.getImageData(0, 0, bitmap.width, bitmap.height);
    toGround(picture.data);
    ground.putImageData(picture, 0, 0);
  }

  /**
   * @param {Size} size of the map
   * @param {(out: Uint32Array) => void} painting
   */
  setFill(size, painting) {
    if (this.fill.width !== size.width || this.fill.height !== size.height)
      [this.fill.width, this.fill.height] = [size.width, size.height];
    const picture = new ImageData(size.width, size.height);
    painting(new Uint32Array(picture.data.buffer));
    context(this.fill).putImageData(picture, 0, 0);
  }

  /**
   * @param {View} view
   * @param {number} dense screen pixels per pixel of the map
   */
  place(view, dense) {
    const transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    this.below.style.transform = this.above.style.transform = transform;
    this.fill.style.imageRendering = dense > 1 ? "pixelated" : "auto";
    const ratio = view.scale / this.drawn.scale;
    const moved = `translate(${view.x - ratio * this.drawn.x}px,`
      + ` ${view.y - ratio * this.drawn.y}px) scale(${ratio})`;
    for (const canvas of [this.lines, this.chosen, this.hovered]) canvas.style.transform = moved;
  }

  /**
   * @param {number} opacity
   * @param {string} layer
   */
  setOpacity(opacity, layer) {
    this.fill.style.opacity = String(opacity);
    this.ground.style.opacity = layer === "proposals" ? "0" : String(veil(opacity));
    this.lines.style.opacity = String(veil(opacity));
  }

  /** @param {number} share of the window's width that shows the photograph alone */
  cut(share) {
    this.over.style.clipPath = share ? `inset(0 0 0 ${100 * share}%)` : "none";
  }

  /** @param {boolean} shown */
  show(shown) {
    this.over.style.visibility = shown ? "visible" : "hidden";
  }

  /** Of a line, in canvas pixels. */
  get thick() {
    return Math.max(1, Math.round(this.ratio));
  }

  /**
   * Contours of all regions; none without a sample.
   * @param {Sample | null} sample
   */
  drawLines(sample) {
    const { width, height } = this.lines;
    const drawing = context(this.lines);
    drawing.clearRect(0, 0, width, height);
    if (!sample) return;
    const picture = new ImageData(width, height);
    outlines(sample, this.thick, LINES, new Uint32Array(picture.data.buffer));
    drawing.putImageData(picture, 0, 0);
  }

  /**
   * Regions marked on one of the two canvases for it; those that were are not any more.
   * @param {"chosen" | "hovered"} kind
   * @param {Sample | null} sample
   * @param {Iterable<number>} ids
   * @param {boolean} hatched
   */
  drawMarks(kind, sample, ids, hatched) {
    const canvas = this[kind];
    const drawing = context(canvas);
    drawing.clearRect(0, 0, canvas.width, canvas.height);
    if (!sample) return;
    const lines = { ...LINES, ...(hatched ? HATCH : NO_HATCH) };
    for (const id of ids) {
      const box = sample.boxes.get(id);
      if (!box) continue;
      const [left, top, right, bottom] = box;
      const picture = new ImageData(right - left, bottom - top);
      mark(sample, id, 2 * this.thick, lines, new Uint32Array(picture.data.buffer), box);
      paste(drawing, picture, left, top, canvas === this.hovered);
    }
  }
}

/**
 * Over what is there already, if it may not be replaced: boxes of selected regions overlap.
 * @param {CanvasRenderingContext2D} drawing
 * @param {ImageData} picture
 * @param {number} left
 * @param {number} top
 * @param {boolean} alone
 */
function paste(drawing, picture, left, top, alone) {
  if (alone) {
    drawing.putImageData(picture, left, top);
    return;
  }
  const piece = h("canvas", { width: picture.width, height: picture.height });
  context(piece).putImageData(picture, 0, 0);
  drawing.drawImage(piece, left, top);
}

/** @param {HTMLCanvasElement} canvas */
export function context(canvas) {
  const found = canvas.getContext("2d", { willReadFrequently: true });
  if (!found) throw new Error("This browser draws no pictures (canvas 2d). Use another one.");
  return found;
}
