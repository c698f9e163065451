/** One photograph before and after, with one pointer for both. */

/** @import {Model} from "viewer/model.js" */

import { h } from "viewer/dom.js";
import { classify } from "viewer/maps.js";
import { drawThumb } from "viewer/region.js";
import { percent } from "viewer/text.js";

/** Long side, in pixels. */
const SIDE = 640;

/**
 * @typedef {{model: Model, canvas: HTMLCanvasElement, cross: HTMLElement, pane: HTMLElement}} Pane
 */

/**
 * @param {Model} before
 * @param {Model} after
 * @param {number} image
 * @param {number} changed difference of the shares
 * @returns {HTMLElement}
 */
export function pair(before, after, image, changed) {
  const name = before.run.images.name[image];
  const panes = [
    paneOf(before, `${name}, before`, "before"),
    paneOf(after, `${name}, after`, "after"),
  ];
  const read = h(
    "span",
    { class: "read", "aria-live": "off" },
    inWords(changed),
  );
  for (const each of panes)
    void drawThumb(each.canvas, each.model, image, { overlay: true, side: SIDE });
  follow(panes, image, read);
  return h(
    "figure",
    { class: "pair" },
    h("div", { class: "panes" }, ...panes.map((each) => each.pane)),
    h("figcaption", {}, h("span", { class: "file" }, name), read),
  );
}

/** @param {number} changed difference of the shares, less than what changed indeed */
function inWords(changed) {
  if (changed <= 0.0005) return "the same shares";
  return changed >= 0.995 ? "all of it changed" : `at least ${percent(changed)} changed`;
}

/**
 * @param {Model} model
 * @param {string} label
 * @param {string} tag
 * @returns {Pane}
 */
function paneOf(model, label, tag) {
  const canvas = h("canvas", { role: "img", "aria-label": label });
  const cross = h("span", { class: "cross", hidden: true, "aria-hidden": "true" });
  return {
    model,
    canvas,
    cross,
    pane: h("div", { class: "pane" }, canvas, h("span", { class: "tag" }, tag), cross),
  };
}

/**
 * Pointing at one pane marks the same place in the other and reads both classes.
 * @param {Pane[]} panes
 * @param {number} image
 * @param {HTMLElement} read
 */
function follow(panes, image, read) {
  const said = read.textContent ?? "";
  /** @type {Promise<((x: number, y: number) => string)[]> | null} */
  let classes = null;
  for (const { pane } of panes) {
    pane.addEventListener("pointermove", async (event) => {
      const box = pane.getBoundingClientRect();
      const [x, y] = [
        (event.clientX - box.left) / box.width,
        (event.clientY - box.top) / box.height,
      ];
      if (x < 0 || y < 0 || x >= 1 || y >= 1) return;
      for (const each of panes) {
        each.cross.hidden = false;
        each.cross.style.left = `${100 * x}%`;
        each.cross.style.top = `${100 * y}%`;
      }
      classes ??= Promise.all(panes.map((each) => readerOf(each.model, image)));
      const [was, is] = (await classes).map((at) => at(x, y));
      read.textContent = was === is ? was : `${was} → ${is}`;
    });
    pane.addEventListener("pointerleave", () => {
      for (const each of panes) each.cross.hidden = true;
      read.textContent = said;
    });
  }
}

/**
 * Names the class at a place, given in fractions.
 * @param {Model} model
 * @param {number} image
 * @returns {Promise<(x: number, y: number) => string>}
 */
async function readerOf(model, image) {
  const maps = await model.source.maps(image, SIDE);
  const ignored = new Set(
    model.state.classes.filter((entry) => entry.ignore).map((entry) => entry.id),
  );
  const ids = classify(maps, model.owner, model.said(image), ignored);
  return (x, y) =>
    model.title(ids[Math.floor(y * maps.height) * maps.width + Math.floor(x * maps.width)]);
}
