/** Buttons above a photograph. */

import { h } from "viewer/dom.js";

/** @typedef {"photo" | "proposals" | "labels" | "certainty"} Layer */

/** @type {{layer: Layer, title: string}[]} in the order of their keys 1 to 4 */
export const LAYERS = [
  { layer: "photo", title: "photo" },
  { layer: "proposals", title: "proposals" },
  { layer: "labels", title: "label map" },
  { layer: "certainty", title: "certainty" },
];

/**
 * @typedef {object} Commands
 * @property {(step: number) => void} step to another photograph
 * @property {(layer: Layer) => void} layer
 * @property {(opacity: number) => void} opacity
 * @property {() => void} compare
 * @property {(hidden: boolean) => void} hide
 * @property {() => void} lasso
 * @property {(factor: number) => void} zoom
 * @property {() => void} fit
 */

/** The row of buttons; `show` sets them to what is so. */
export class Toolbar {
  /** @param {Commands} commands */
  constructor(commands) {
    this.commands = commands;
    this.previous = button("‹", "previous photograph ( [ )", () => commands.step(-1));
    this.next = button("›", "next photograph ( ] )", () => commands.step(1));
    this.name = h("h2", { class: "photo-title" });
    this.place = h("span", { class: "photo-place" });
    this.layers = new Map(LAYERS.map(({ layer, title }, index) =>
      [layer, button(title, `${title} ( ${index + 1} )`, () => commands.layer(layer), false)]));
    this.opacity = h("input", {
      type: "range", min: "0", max: "100", step: "1",
      oninput: () => commands.opacity(Number(this.opacity.value) / 100),
    });
    this.compare = button("compare", "photograph beside overlay ( v )", commands.compare, false);
    this.lasso = button("lasso", "draw around proposals ( l )", commands.lasso, false);
    this.extras = h("span", { class: "photo-tools photo-extras" });
    this.element = h("div", { class: "photo-toolbar" }, ...this.rows());
  }

  rows() {
    const { commands } = this;
    return [
      h("div", { class: "photo-head" }, this.previous, this.next, this.name, this.place),
      h("div", { class: "photo-tools photo-segments", role: "group", "aria-label": "layer" },
        ...this.layers.values()),
      h("label", { class: "photo-tools photo-opacity" }, "opacity ", this.opacity),
      h("div", { class: "photo-tools" }, this.compare, holdButton(commands.hide), this.lasso),
      h("div", { class: "photo-tools", role: "group", "aria-label": "zoom" },
        button("−", "smaller ( - )", () => commands.zoom(1 / 1.5)),
        button("+", "larger ( + )", () => commands.zoom(1.5)),
        button("fit", "all of the photograph ( 0 )", commands.fit)),
      this.extras,
    ];
  }

  /**
   * @param {{name: string, place: string, layer: Layer, opacity: number, comparing: boolean,
   *   lasso: boolean, picking: boolean, missing: Map<Layer, string>, first: boolean,
   *   last: boolean}} look `missing`: why a layer is not to be had
   */
  show(look) {
    this.name.textContent = this.name.title = look.name;
    this.place.textContent = look.place;
    this.previous.disabled = look.first;
    this.next.disabled = look.last;
    for (const [index, { layer, title }] of LAYERS.entries()) {
      const one = /** @type {HTMLButtonElement} */ (this.layers.get(layer));
      const why = look.missing.get(layer);
      press(one, look.layer === layer);
      one.disabled = why !== undefined;
      one.title = why ?? `${title} ( ${index + 1} )`;
    }
    this.opacity.value = String(Math.round(100 * look.opacity));
    this.opacity.disabled = look.layer === "photo";
    press(this.compare, look.comparing);
    press(this.lasso, look.lasso);
    this.lasso.hidden = !look.picking;
  }
}

/**
 * @param {string} text
 * @param {string} title
 * @param {() => void} run
 * @param {boolean} [pressed] for those that stay pressed
 */
function button(text, title, run, pressed) {
  return h("button", {
    type: "button", title, onclick: run,
    "aria-label": text.length < 2 ? title : null,
    "aria-pressed": pressed === undefined ? null : String(pressed),
  }, text);
}

/**
 * @param {HTMLElement} element
 * @param {boolean} pressed
 */
function press(element, pressed) {
  element.setAttribute("aria-pressed", String(pressed));
}

/** @param {(hidden: boolean) => void} hide */
function holdButton(hide) {
  const off = () => hide(false);
  return h("button", {
    type: "button", title: "hold down: the photograph alone ( h or space )",
    onpointerdown: () => hide(true), onpointerup: off, onpointerleave: off, onpointercancel: off,
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key === " " || event.key === "Enter") hide(true);
    },
    onkeyup: off, onblur: off,
  }, "hide");
}
