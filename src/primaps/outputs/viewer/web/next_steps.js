/** What to do next, with commands to copy. */

import { copyable } from "viewer/controls.js";
import { h } from "viewer/dom.js";

/** @import {App} from "viewer/app.js" */

/**
 * @param {App} app
 * @returns {HTMLElement | null}
 */
export function nextSteps(app) {
  const { advice } = app.model.run;
  if (!advice.length) return null;
  return h(
    "section",
    { "aria-labelledby": "next-title", class: "next" },
    h("h2", { id: "next-title" }, "What to do next"),
    h(
      "ul",
      { class: "steps" },
      ...advice.map(({ title, text, command }) =>
        h(
          "li",
          {},
          h("h3", {}, title),
          h("p", {}, text),
          command ? copyable(command, (said) => app.toast(said)) : null,
        ),
      ),
    ),
  );
}
