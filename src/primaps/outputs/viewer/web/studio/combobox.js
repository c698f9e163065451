/** A text field that completes names: everything can be typed, what is known is a few keys away. */

import { h, replace } from "viewer/dom.js";
import { dot } from "viewer/studio/swatches.js";

/**
 * @typedef {{title: string, colour: string}} Choice
 * @typedef {object} ComboOptions
 * @property {string} label
 * @property {() => Choice[]} choices
 * @property {string} [value]
 * @property {string} [placeholder]
 * @property {boolean} [quiet] the list opens only once something is typed
 */

let made = 0;

/** The field; `element` holds it and the list. */
export class Combobox {
  /** @param {ComboOptions} options */
  constructor(options) {
    this.options = options;
    const id = `combo-${(made += 1)}`;
    this.list = h("ul", {
      id,
      class: "combo-list",
      role: "listbox",
      "aria-label": "Known names",
      hidden: true,
    });
    this.input = h("input", {
      class: "combo-input",
      type: "text",
      role: "combobox",
      autocomplete: "off",
      spellcheck: "false",
      maxlength: 100,
      "aria-label": options.label,
      "aria-expanded": "false",
      "aria-controls": id,
      "aria-autocomplete": "list",
      placeholder: options.placeholder ?? "",
      oninput: () => this.filter(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.move(event),
      onblur: () => this.close(),
    });
    this.input.value = options.value ?? "";
    this.element = h("div", { class: "combo" }, this.input, this.list);
    /** @type {Choice[]} */
    this.found = [];
    this.active = -1;
  }

  /** What is meant: a choice that was gone to, a known name written otherwise, or the text. */
  get value() {
    const text = this.input.value.trim().replace(/\s+/g, " ");
    const known = this.options
      .choices()
      .find((each) => each.title.toLowerCase() === text.toLowerCase());
    return known?.title ?? text;
  }

  set value(text) {
    this.input.value = text;
    this.close();
  }

  filter() {
    const text = this.input.value.trim().toLowerCase();
    const all = this.options.choices();
    const starts = all.filter((each) => each.title.toLowerCase().startsWith(text));
    const holds = all.filter(
      (each) => each.title.toLowerCase().includes(text) && !starts.includes(each),
    );
    this.found = text || !this.options.quiet ? [...starts, ...holds].slice(0, 8) : [];
    if (this.found.length === 1 && this.found[0].title === this.input.value) this.found = [];
    this.active = -1;
    this.draw();
  }

  draw() {
    const { list, input, found } = this;
    list.hidden = !found.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
    replace(list, ...found.map((each, index) => this.option(each, index)));
    const id = this.active >= 0 ? `${list.id}-${this.active}` : "";
    if (id) input.setAttribute("aria-activedescendant", id);
    else input.removeAttribute("aria-activedescendant");
  }

  /**
   * @param {Choice} choice
   * @param {number} index
   */
  option(choice, index) {
    return h(
      "li",
      {
        id: `${this.list.id}-${index}`,
        role: "option",
        "aria-selected": String(index === this.active),
        onpointerdown: (/** @type {Event} */ event) => {
          event.preventDefault();
          this.take(index);
        },
      },
      dot(choice.colour),
      choice.title,
    );
  }

  /** @param {KeyboardEvent} event */
  move(event) {
    if (event.isComposing) return;
    const { found } = this;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!found.length) return this.filter();
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.go(
        (this.active + step + found.length + (this.active < 0 && step < 0 ? 1 : 0)) % found.length,
      );
    } else if (event.key === "Tab" && !event.shiftKey && found.length && this.input.value.trim()) {
      event.preventDefault();
      if (this.active < 0) this.go(0);
      else this.take(this.active);
    } else if (event.key === "Escape" && !this.list.hidden && this.active >= 0) {
      event.preventDefault();
      event.stopPropagation();
      this.close();
    }
  }

  /**
   * Go to a choice; the text becomes it.
   * @param {number} index
   */
  go(index) {
    this.active = index;
    this.input.value = this.found[index].title;
    this.draw();
  }

  /** @param {number} index */
  take(index) {
    this.input.value = this.found[index].title;
    this.close();
    this.input.focus();
    this.input.dispatchEvent(new Event("taken"));
  }

  close() {
    this.found = [];
    this.active = -1;
    this.draw();
  }
}
