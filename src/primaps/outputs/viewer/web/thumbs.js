/** Thumbnails that lead to their photograph. */

import { h } from "viewer/dom.js";
import { drawThumb } from "viewer/region.js";
import { baseName } from "viewer/text.js";

/** @import {App} from "viewer/app.js" */
/** @import {Child} from "viewer/dom.js" */
/** @import {Lazy} from "viewer/lazy.js" */

/** Sizes of photographs that are asked for: few, so that they are found again. */
const SIDES = [320, 640];
/** Small pictures show more of the photograph than a large one does. */
const VEIL = 0.8;

/** @param {HTMLCanvasElement} canvas */
function sideOf(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const wanted = Math.max(width, height) * Math.min(2, devicePixelRatio);
  return SIDES.find((side) => side >= wanted) ?? SIDES[SIDES.length - 1];
}

/**
 * The colours step aside while the pointer is on it.
 * @param {App} app
 * @param {Lazy} lazy draws it
 * @param {number} image
 * @param {Child[]} [caption] beside the name
 * @returns {HTMLAnchorElement}
 */
export function thumbnail(app, lazy, image, caption = []) {
  const { name, width, height } = app.model.run.images;
  const canvas = h("canvas", { "aria-hidden": "true" });
  const draw = (/** @type {boolean} */ bare) =>
    drawThumb(canvas, app.model, image, {
      overlay: app.settings.get("overlay") && !bare,
      opacity: VEIL * app.settings.get("opacity"),
      palette: app.settings.get("palette"),
      side: sideOf(canvas),
    });
  lazy.add(canvas, () => draw(false));
  const ratio = Math.min(2.4, Math.max(0.5, width[image] / height[image]));
  return h(
    "a",
    {
      class: "thumb",
      href: app.href("photo", { name: name[image] }),
      style: `--ratio: ${ratio.toFixed(4)}`,
      title: name[image],
      "data-image": image,
      onpointerenter: () => lazy.again(canvas, () => draw(true)),
      onpointerleave: () => lazy.again(canvas, () => draw(false)),
    },
    h("span", { class: "picture" }, canvas),
    h(
      "span",
      { class: "caption" },
      h("span", { class: "name" }, baseName(name[image])),
      ...caption,
    ),
  );
}
