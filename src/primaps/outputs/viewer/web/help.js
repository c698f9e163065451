/** How to read this: for those who never heard of the method. */

import { FIGURES } from "viewer/cards.js";
import { h } from "viewer/dom.js";

/** @import {App} from "viewer/app.js" */

const NAMES = {
  photographs: "Photographs",
  coherence: "Coherence",
  certainty: "Certainty",
  alike: "Looks like",
};

/**
 * @param {App} app
 * @returns {HTMLElement}
 */
export function helpToggle(app) {
  const named = app.model.state.classes.some((entry) => entry.name);
  const element = h(
    "details",
    { class: "help", open: app.settings.get("help") },
    h("summary", {}, "How to read this"),
    h(
      "div",
      { class: "help-body" },
      h(
        "ol",
        {},
        ...steps(named).map(([title, text]) => h("li", {}, h("b", {}, title), " ", text)),
      ),
      h(
        "dl",
        {},
        ...Object.entries(FIGURES).flatMap(([name, text]) => [
          h("dt", {}, NAMES[/** @type {keyof typeof NAMES} */ (name)]),
          h("dd", {}, text),
        ]),
      ),
    ),
  );
  element.addEventListener("toggle", () => app.settings.set("help", element.open));
  return element;
}

/**
 * @param {boolean} named
 * @returns {[string, string][]}
 */
function steps(named) {
  return [
    ["Regions.", "Each photograph is cut into regions that look alike inside, the mask proposals."],
    [
      "Classes.",
      "Regions that resemble each other across the whole folder get the same class. " +
        "A colour means the same class everywhere here.",
    ],
    named
      ? [
          "Names.",
          "Nobody told the software what things are called while it learned; the names were " +
            "given afterwards.",
        ]
      : [
          "Numbers, not names.",
          "Nobody told the software what things are called, so classes are numbered. The " +
            "examples show what a number stands for.",
        ],
    [
      "Mistakes are normal.",
      "A class may mix two things, and one thing may be spread over two classes. What to do " +
        "about it stands below, under what to do next.",
    ],
  ];
}
