/** Controls that several pages use. */

import { h } from "viewer/dom.js";
import { icon } from "viewer/icons.js";

let number = 0;

/**
 * One of a few, side by side.
 * @param {string} title
 * @param {{value: string, title: string}[]} options
 * @param {string} chosen
 * @param {(value: string) => void} change
 * @returns {HTMLFieldSetElement}
 */
export function choice(title, options, chosen, change) {
  const name = `choice-${(number += 1)}`;
  return h(
    "fieldset",
    { class: "choice" },
    h("legend", { class: "unseen" }, title),
    ...options.map((option) =>
      h(
        "label",
        {},
        h("input", {
          type: "radio",
          name,
          value: option.value,
          checked: option.value === chosen,
          onchange: () => change(option.value),
        }),
        h("span", {}, option.title),
      ),
    ),
  );
}

/**
 * A command line with a button that copies it.
 * @param {string} command
 * @param {(text: string) => void} say told what happened
 * @returns {HTMLElement}
 */
export function copyable(command, say) {
  const code = h("code", {}, command);
  const copy = async () => {
    const copied = await toClipboard(command);
    if (!copied) window.getSelection()?.selectAllChildren(code);
    say(
      copied ? "Copied." : "The browser does not let pages copy: it is selected, press Ctrl + C.",
    );
  };
  return h(
    "div",
    { class: "command" },
    h("pre", { tabindex: "0", "aria-label": "Command" }, code),
    h(
      "button",
      {
        type: "button",
        class: "icon",
        "aria-label": "Copy this command",
        "data-tip": "Copy",
        onclick: copy,
      },
      icon("copy"),
    ),
  );
}

/**
 * @param {string} text
 * @returns {Promise<boolean>}
 */
async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
