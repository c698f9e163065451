/** Colours as they are seen on the photographs, for whatever stands beside them. */

import { classSwatch } from "viewer/colour.js";
import { h } from "viewer/dom.js";

/** @import {App} from "viewer/app.js" */

/** Settings that change how classes are coloured. */
export const COLOUR_SETTINGS = ["opacity", "palette"];

/**
 * @param {App} app
 * @param {number} id of a class
 * @returns {string} "#rrggbb"
 */
export function seenColour(app, id) {
  const { settings, model } = app;
  return classSwatch(model, id, {
    palette: settings.get("palette"),
    opacity: settings.get("opacity"),
  });
}

/**
 * @param {App} app
 * @param {number} id of a class
 * @returns {HTMLSpanElement}
 */
export function smallSwatch(app, id) {
  return h("span", {
    class: "swatch small",
    style: `background: ${seenColour(app, id)}`,
    "aria-hidden": "true",
  });
}
