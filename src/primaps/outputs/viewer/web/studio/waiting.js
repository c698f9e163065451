/** Candidates that wait for a decision, and the way back to the former model. */

/** @import {Desk} from "viewer/studio/desk.js" */

import { h } from "viewer/dom.js";
import { takeBack } from "viewer/studio/refitting.js";

/**
 * @param {Desk} desk
 * @returns {Node[]}
 */
export function candidateNotes(desk) {
  const { candidates, accepted } = desk.model.state;
  const open = candidates.filter((each) => each.number !== accepted);
  const rows = open.map((each) =>
    h(
      "p",
      { class: "waits" },
      `A ${each.kind === "split" ? "split" : "refit"} waits for your decision. `,
      h("a", { href: desk.app.href("candidate", { number: each.number }) }, "Look at it"),
    ),
  );
  const back =
    accepted === null
      ? []
      : [
          h(
            "p",
            { class: "waits" },
            "A refit is in place. ",
            h(
              "button",
              { type: "button", class: "quiet", onclick: () => void takeBack(desk) },
              "Take it back",
            ),
          ),
        ];
  return [...rows, ...back];
}
