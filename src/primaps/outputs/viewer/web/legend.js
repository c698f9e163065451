/** The classes of a photograph: colour on the screen, name, share; a click isolates one. */

/** @import {Model} from "viewer/model.js" */
/** @import {Palette} from "viewer/colour.js" */

import { SAFE_CLASSES, certaintyRamp, classColours, hex, parse, swatch } from "viewer/colour.js";
import { h, replace } from "viewer/dom.js";
import { UNLABELLED } from "viewer/model.js";
import { percent as exactly } from "viewer/text.js";

/**
 * A part of a whole in words.
 * @param {number} share 0..1
 */
export function percent(share) {
  if (share > 0 && share < 0.01) return "< 1 %";
  return `${Math.round(100 * share)} %`;
}

/**
 * Classes with pixels in an image, the largest first, what is unlabelled last.
 * @param {Model} model
 * @param {number} image
 * @returns {{id: number, title: string, share: number}[]}
 */
export function classesOf(model, image) {
  const shown = new Map();
  for (const id of model.pixels[image].keys()) {
    const entry = model.byId.get(id);
    const key = entry && !entry.ignore ? id : UNLABELLED;
    shown.set(key, (shown.get(key) ?? 0) + model.shareIn(image, id));
  }
  return [...shown].filter(([, share]) => share > 0)
    .map(([id, share]) => ({ id, title: model.title(id), share }))
    .sort((a, b) => Number(a.id === UNLABELLED) - Number(b.id === UNLABELLED)
      || b.share - a.share || a.id - b.id);
}

/** Rows of classes, the ramp of certainties, the choice of colours. */
export class Legend {
  /**
   * @param {{isolate: (id: number) => void, hover: (id: number | null) => void,
   *   palette: (palette: Palette) => void}} told
   */
  constructor(told) {
    this.told = told;
    this.ramp = h("div", { class: "photo-ramp", hidden: true });
    this.list = h("ul", { class: "photo-classes" });
    this.note = h("p", { class: "photo-note", hidden: true });
    this.choice = h("select", {
      onchange: () => told.palette(/** @type {Palette} */ (this.choice.value)),
    },
      h("option", { value: "named" }, "as named"),
      h("option", { value: "safe" }, "colour-blind safe"));
    this.element = h("aside", { class: "photo-legend", "aria-label": "classes in this photograph" },
      this.ramp, this.list, this.note,
      h("label", { class: "photo-palette" }, "Colours ", this.choice));
    /** @type {Map<number, HTMLElement>} rows by class */
    this.rows = new Map();
  }

  /**
   * @param {Model} model
   * @param {number} image
   * @param {{palette: Palette, opacity: number, layer: string, isolated: number | null,
   *   range: [number, number]}} look `range` of the certainty layer's colours, 0..255
   */
  fill(model, image, look) {
    const focused = [...this.rows].find(([, row]) => row.contains(document.activeElement))?.[0];
    const colours = classColours(model, look.palette);
    const classes = classesOf(model, image);
    this.rows = new Map(classes.map((one) => [one.id, this.row(one, colours.get(one.id), look)]));
    replace(this.list, ...this.rows.values());
    this.choice.value = look.palette;
    this.tint(model, look);
    this.limits(classes.filter(({ id }) => id !== UNLABELLED).length, colours.size, look.palette);
    if (focused !== undefined) this.rows.get(focused)?.querySelector("button")?.focus();
  }

  /**
   * @param {{id: number, title: string, share: number}} one
   * @param {string | undefined} colour
   * @param {{isolated: number | null}} look
   */
  row({ id, title, share }, colour, look) {
    const button = h("button", {
      type: "button", "aria-pressed": String(look.isolated === id), "data-class": id,
      onclick: () => this.told.isolate(id),
      onfocus: () => this.told.hover(id), onblur: () => this.told.hover(null),
    },
      h("span", { class: colour ? "photo-swatch" : "photo-swatch photo-unlabelled" }),
      h("span", { class: "photo-name", title }, title),
      h("span", { class: "photo-share" }, percent(share)));
    return h("li", {
      onpointerenter: () => this.told.hover(id), onpointerleave: () => this.told.hover(null),
    }, button);
  }

  /**
   * Swatches as the classes look at an opacity; nothing else changes.
   * @param {Model} model
   * @param {{palette: Palette, opacity: number, layer: string, range: [number, number]}} look
   */
  tint(model, look) {
    const colours = classColours(model, look.palette);
    for (const [id, row] of this.rows) {
      const colour = colours.get(id);
      const place = row.querySelector(".photo-swatch");
      if (colour && place instanceof HTMLElement)
        place.style.backgroundColor = hex(swatch(parse(colour), look.opacity));
    }
    this.ramp.hidden = look.layer !== "certainty";
    if (!this.ramp.hidden) this.tintRamp(look.opacity, look.range);
  }

  /**
   * @param {number} opacity
   * @param {[number, number]} range
   */
  tintRamp(opacity, [low, high]) {
    const bar = h("span", { class: "photo-ramp-bar" });
    bar.style.backgroundImage = `linear-gradient(to right, ${certaintyRamp(opacity).join(", ")})`;
    replace(this.ramp, h("span", {}, `unsure ${exactly(low / 255)}`), bar,
      h("span", {}, `${exactly(high / 255)} sure`));
  }

  /**
   * Say where colours alone do not tell classes apart.
   * @param {number} here classes in this photograph
   * @param {number} all classes of the run
   * @param {Palette} palette
   */
  limits(here, all, palette) {
    const safe = palette === "safe" && all > SAFE_CLASSES;
    const many = palette === "named" && here > 12;
    this.note.hidden = !safe && !many;
    this.note.textContent = safe
      ? `${all} classes: colour-blind people can tell the first ${SAFE_CLASSES} apart, further ones`
        + " may look alike. Point at one to be sure."
      : "More than 12 classes: some colours look alike. Point at one to be sure.";
  }

  /** @param {number | null} id */
  highlight(id) {
    for (const [other, row] of this.rows) row.classList.toggle("photo-lit", other === id);
  }

  /** @param {number | null} id */
  press(id) {
    for (const [other, row] of this.rows)
      row.querySelector("button")?.setAttribute("aria-pressed", String(other === id));
  }
}
