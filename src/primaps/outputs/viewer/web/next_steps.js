/** What to do next, with commands to copy. */

import { copyable } from "viewer/controls.js";
import { h } from "viewer/dom.js";

/** @import {App} from "viewer/app.js" */

/** What the studio itself does, on the same page: no command is needed there. */
const IN_THE_STUDIO = /^primaps (studio|classes|export|accept) /;

/**
 * @param {App} app
 * @returns {HTMLElement | null}
 */
export function nextSteps(app) {
  const advice = app.model.run.advice.filter(
    ({ command }) => app.readOnly || !IN_THE_STUDIO.test(command ?? ""),
  );
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
