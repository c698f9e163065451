/** One class into several: a fit of its proposals, looked at before it is taken. */

/** @import {Desk} from "viewer/studio/desk.js" */

import { h } from "viewer/dom.js";
import { work } from "viewer/studio/jobs.js";

/**
 * @param {Desk} desk
 * @param {number} id
 */
export async function askSplit(desk, id) {
  const title = desk.model.title(id);
  const choices = [2, 3, 4].map((parts) =>
    h(
      "label",
      { class: "row" },
      h("input", { type: "radio", name: "parts", value: parts, checked: parts === 2 }),
      `${parts} parts`,
    ),
  );
  const yes = h("button", { type: "button", class: "primary" }, "Split");
  const no = h("button", { type: "button" }, "Cancel");
  const group = h("fieldset", {}, h("legend", {}, "Into"), ...choices);
  const dialog = desk.app.dialog({
    title: `Split ${title}`,
    content: [
      h(
        "p",
        {},
        "Its proposals are grouped anew. You see the result beside the present one and take it"
          + " or leave it.",
      ),
      group,
    ],
    actions: [no, yes],
  });
  no.addEventListener("click", () => dialog.close(null));
  yes.addEventListener("click", () => {
    const chosen = group.querySelector("input:checked");
    dialog.close(chosen instanceof HTMLInputElement ? Number(chosen.value) : null);
  });
  const parts = await dialog.closed;
  if (typeof parts !== "number") return;
  const job = await work(desk, { kind: "split", class: id, parts }, `Split ${title}`);
  if (job) desk.app.go("candidate", { number: job.result.candidate });
}
