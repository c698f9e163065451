/** The fields by which the gallery is filtered and sorted. */

import { h, replace } from "viewer/dom.js";
import { SORTS } from "viewer/filters.js";
import { percent, whole } from "viewer/text.js";

/** @import {Params} from "viewer/filters.js" */
/** @import {Model} from "viewer/model.js" */

const TYPING_MS = 200;
/** Fields that are folded away, as long as none of them is used. */
const FURTHER = [
  "certain_from",
  "certain_to",
  "covered_from",
  "covered_to",
  "warning",
  "corrected",
];
const SHARES = ["1", "5", "10", "25", "50"];

export class GalleryForm {
  /**
   * @param {Model} model
   * @param {(params: Params, typing: boolean) => void} change typing: more is likely to come
   */
  constructor(model, change) {
    this.model = model;
    this.change = change;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.text = h("input", {
      type: "search",
      name: "text",
      placeholder: "Part of a name",
      autocomplete: "off",
    });
    this.classes = h("select", { name: "class" });
    this.share = select("share", [
      ["", "any share"],
      ...SHARES.map((share) => pair(share, `at least ${share} %`)),
    ]);
    this.sort = select(
      "sort",
      SORTS.map(({ sort, title }) => pair(sort, title)),
    );
    this.down = h("input", { type: "checkbox", name: "down", value: "1" });
    this.more = h("details", { class: "more-filters" });
    this.element = this.form();
    this.drawClasses();
  }

  form() {
    replace(
      this.more,
      h("summary", {}, "More filters"),
      h("div", { class: "fields" }, ...this.further()),
    );
    const form = h(
      "form",
      { class: "filters", role: "search", "aria-label": "Filter photographs" },
      h(
        "div",
        { class: "fields" },
        field("Name", this.text),
        field("Class", this.classes),
        field("Share", this.share),
        field("Sort by", this.sort),
        h("label", { class: "check" }, this.down, "Reversed"),
      ),
      this.more,
    );
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => this.changed(event));
    return form;
  }

  further() {
    const { images } = this.model.run;
    const fields = [];
    if (images.certainty.some(isKnown))
      fields.push(range("Certainty", "certain", images.certainty));
    if (images.coverage.some(isKnown))
      fields.push(range("Covered by regions", "covered", images.coverage));
    fields.push(
      field(
        "Corrections",
        select("corrected", [
          ["", "with or without"],
          ["yes", "corrected"],
          ["no", "not corrected"],
        ]),
      ),
    );
    const count = images.warnings.filter((list) => list.length).length;
    fields.push(
      h(
        "label",
        { class: "check" },
        h("input", { type: "checkbox", name: "warning", value: "1" }),
        `With a remark (${whole(count)})`,
      ),
    );
    return fields;
  }

  drawClasses() {
    const options = this.model
      .alive()
      .map((entry) =>
        pair(
          String(entry.id),
          `${this.model.title(entry.id)} (${percent(this.model.share(entry.id))})`,
        ),
      );
    const chosen = this.classes.value;
    replace(this.classes, ...optionsOf([["", "any class"], ["255", "unlabelled"], ...options]));
    this.classes.value = chosen;
  }

  /** @param {Event} event */
  changed(event) {
    clearTimeout(this.timer);
    this.enable();
    const typing = event.target instanceof HTMLInputElement && event.target.type !== "checkbox";
    if (typing) this.timer = setTimeout(() => this.change(this.params(), true), TYPING_MS);
    else this.change(this.params(), false);
  }

  /** @returns {Params} those of the fields that are filled */
  params() {
    const data = [...new FormData(this.element)].map(([key, value]) => [key, String(value).trim()]);
    return Object.fromEntries(data.filter(([, value]) => value !== ""));
  }

  /**
   * Fill the fields from an address, but for one in which somebody types.
   * @param {Params} params
   */
  fill(params) {
    for (const field of this.element.elements) {
      if (field instanceof HTMLInputElement && field.type === "checkbox") {
        field.checked = params[field.name] === "1";
      } else if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement) {
        const typing = field === document.activeElement && field instanceof HTMLInputElement;
        if (!typing || !params[field.name]) field.value = params[field.name] ?? "";
      }
    }
    if (FURTHER.some((name) => params[name])) this.more.open = true;
    this.enable();
  }

  /** What needs a class is of no use without one. */
  enable() {
    this.share.disabled = this.classes.value === "";
    const byShare = this.sort.querySelector("option[value=share]");
    if (byShare instanceof HTMLOptionElement) byShare.disabled = this.classes.value === "";
    if (this.classes.value === "" && this.sort.value === "share") this.sort.value = "";
  }

  destroy() {
    clearTimeout(this.timer);
  }
}

/**
 * @param {string} value
 * @param {string} title
 * @returns {[string, string]}
 */
function pair(value, title) {
  return [value, title];
}

/** @param {[string, string][]} options */
function optionsOf(options) {
  return options.map(([value, title]) => h("option", { value }, title));
}

/**
 * @param {string} name
 * @param {[string, string][]} options
 */
function select(name, options) {
  return h("select", { name }, ...optionsOf(options));
}

/**
 * @param {string} title
 * @param {Node} control
 */
function field(title, control) {
  return h("label", { class: "field" }, h("span", {}, title), control);
}

/** @param {number | null} value */
function isKnown(value) {
  return value !== null;
}

/**
 * @param {string} title
 * @param {string} name
 * @param {(number | null)[]} values what there is, shown as the widest range
 */
function range(title, name, values) {
  const known = values.filter((value) => value !== null);
  const [least, most] = [Math.min(...known), Math.max(...known)].map((value) => 100 * value);
  const input = (/** @type {string} */ end, /** @type {number} */ hint) =>
    h("input", {
      type: "number",
      name: `${name}_${end}`,
      min: 0,
      max: 100,
      step: "any",
      inputmode: "decimal",
      placeholder: hint,
      "aria-label": `${title}, ${end}, percent`,
    });
  return h(
    "div",
    { class: "field", role: "group", "aria-label": title },
    h("span", {}, `${title}, %`),
    h(
      "span",
      { class: "range" },
      input("from", Math.floor(least)),
      "to",
      input("to", Math.ceil(most)),
    ),
  );
}
