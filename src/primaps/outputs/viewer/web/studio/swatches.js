/** Small fields of a colour, set by the object model: the studio's pages allow no style texts. */

import { h } from "viewer/dom.js";

/**
 * @param {string} colour
 * @returns {HTMLElement}
 */
export function dot(colour) {
  const element = h("span", { class: "dot", "aria-hidden": "true" });
  element.style.background = colour;
  return element;
}

/**
 * A button of a colour.
 * @param {string} colour
 * @param {string} label
 * @param {() => void} run
 * @param {string} [kind] further classes
 * @returns {HTMLButtonElement}
 */
export function swatchButton(colour, label, run, kind = "") {
  const element = h("button", {
    type: "button",
    class: `swatch ${kind}`,
    "aria-label": label,
    title: label,
    onclick: run,
  });
  element.style.background = colour;
  return element;
}
