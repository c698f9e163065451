/** Modal dialogs and short messages. */

import { h } from "viewer/dom.js";

/** @import {Child} from "viewer/dom.js" */

/**
 * @typedef {object} DialogOptions
 * @property {string} title
 * @property {Child[]} content
 * @property {Child[]} [actions] buttons at the end
 * @property {boolean} [wide]
 */

/**
 * @typedef {object} OpenDialog
 * @property {HTMLDialogElement} element
 * @property {(value?: any) => void} close
 * @property {Promise<any>} closed with what `close` was given; undefined after Escape
 */

let number = 0;

/**
 * Show a dialog above everything. The browser keeps the focus inside; afterwards it goes back to
 * where it was.
 * @param {DialogOptions} options
 * @returns {OpenDialog}
 */
export function openDialog({ title, content, actions = [], wide = false }) {
  const before = document.activeElement;
  const id = `dialog-${(number += 1)}`;
  /** @type {any} */
  let answer;
  /** @param {any} [value] */
  const close = (value) => {
    answer = value;
    element.close();
  };
  const element = h(
    "dialog",
    { "aria-labelledby": id, class: wide ? "dialog wide" : "dialog" },
    h(
      "header",
      {},
      h("h2", { id }, title),
      h(
        "button",
        { type: "button", class: "icon", "aria-label": "Close", onclick: () => close(undefined) },
        "✕",
      ),
    ),
    h("div", { class: "dialog-body" }, ...content),
    actions.length ? h("footer", {}, ...actions) : null,
  );
  element.addEventListener("click", (event) => {
    if (event.target === element && outside(element, event)) close(undefined);
  });
  const closed = new Promise((resolve) => {
    element.addEventListener("close", () => {
      element.remove();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
      resolve(answer);
    });
  });
  document.body.append(element);
  element.showModal();
  return { element, close, closed };
}

/**
 * @param {HTMLElement} element
 * @param {MouseEvent} event
 */
function outside(element, event) {
  const box = element.getBoundingClientRect();
  const across = event.clientX < box.left || event.clientX > box.right;
  return across || event.clientY < box.top || event.clientY > box.bottom;
}
