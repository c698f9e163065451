/** Short messages: shown for a while, and read aloud. */

import { h, replace } from "viewer/dom.js";

/**
 * @typedef {object} ToastOptions
 * @property {"info" | "error"} [kind]
 * @property {{title: string, run: () => void}} [action]
 */

const SHORT_MS = 5000;
const LONG_MS = 12000;
const SHOWN = 3;

export class Notices {
  constructor() {
    this.spoken = h("p", { class: "unseen", "aria-live": "polite", "aria-atomic": "true" });
    this.toasts = h("div", { class: "toasts" });
    this.element = h("div", {}, this.spoken, this.toasts);
  }

  /**
   * Read aloud by screen readers; not shown.
   * @param {string} text
   */
  say(text) {
    replace(this.spoken, text);
  }

  /**
   * @param {string} text
   * @param {ToastOptions} [options]
   */
  toast(text, { kind = "info", action } = {}) {
    const gone = () => element.remove();
    const act =
      action &&
      (() => {
        gone();
        action.run();
      });
    const element = h(
      "div",
      { class: `toast ${kind}`, role: kind === "error" ? "alert" : "status" },
      h("span", {}, text),
      action ? h("button", { type: "button", onclick: act }, action.title) : null,
      h("button", { type: "button", class: "icon", "aria-label": "Dismiss", onclick: gone }, "✕"),
    );
    this.toasts.append(element);
    while (this.toasts.children.length > SHOWN) this.toasts.firstElementChild?.remove();
    leaveLater(element, kind === "error" || action ? LONG_MS : SHORT_MS);
  }
}

/**
 * It stays as long as the pointer or the focus is on it.
 * @param {HTMLElement} element
 * @param {number} milliseconds
 */
function leaveLater(element, milliseconds) {
  setTimeout(() => {
    if (element.matches(":hover, :focus-within")) leaveLater(element, SHORT_MS);
    else element.remove();
  }, milliseconds);
}
