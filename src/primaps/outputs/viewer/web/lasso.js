/** A line drawn around regions, and which proposals it holds. */

/** @import {Maps} from "viewer/types.js" */
/** @import {Point} from "viewer/gestures.js" */

import { svg } from "viewer/dom.js";

/** A proposal is meant when at least this part of its pixels is inside. */
export const MOSTLY = 0.5;

/**
 * Proposals that lie mostly inside a polygon.
 * @param {Maps} maps
 * @param {Point[]} polygon pixels of the maps
 * @returns {number[]} ids, in order
 */
export function proposalsInside(maps, polygon) {
  if (!maps.proposals || polygon.length < 3) return [];
  const all = new Uint32Array(65536);
  for (const id of maps.proposals) all[id] += 1;
  const inside = new Uint32Array(65536);
  for (let y = 0; y < maps.height; y += 1)
    for (const [from, to] of spans(polygon, y + 0.5)) {
      const left = Math.max(0, Math.ceil(from - 0.5));
      const right = Math.min(maps.width - 1, Math.ceil(to - 0.5) - 1);
      for (let x = left; x <= right; x += 1) inside[maps.proposals[y * maps.width + x]] += 1;
    }
  const found = [];
  for (let id = 1; id < 65536; id += 1)
    if (inside[id] > 0 && inside[id] >= MOSTLY * all[id]) found.push(id);
  return found;
}

/**
 * Where a row is inside a polygon (even-odd rule).
 * @param {Point[]} polygon
 * @param {number} y
 * @returns {[number, number][]}
 */
function spans(polygon, y) {
  const crossings = [];
  for (let i = 0; i < polygon.length; i += 1) {
    const [a, b] = [polygon[i], polygon[(i + 1) % polygon.length]];
    if (a.y <= y !== b.y <= y) crossings.push(a.x + ((y - a.y) / (b.y - a.y)) * (b.x - a.x));
  }
  crossings.sort((one, other) => one - other);
  /** @type {[number, number][]} */
  const found = [];
  for (let i = 0; i + 1 < crossings.length; i += 2) found.push([crossings[i], crossings[i + 1]]);
  return found;
}

/** The line while it is drawn. */
export class LassoLine {
  constructor() {
    this.dark = svg("polygon", { class: "photo-lasso-dark" });
    this.light = svg("polygon", { class: "photo-lasso-light" });
    this.element = svg("svg", { class: "photo-lasso", "aria-hidden": "true" },
      this.dark, this.light);
  }

  /** @param {Point[]} points CSS pixels; none = no line */
  draw(points) {
    const text = points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
    for (const line of [this.dark, this.light]) line.setAttribute("points", text);
  }
}
