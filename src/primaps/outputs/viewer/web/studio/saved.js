/** The quiet sign that everything is saved, undo and redo, and two who change at once. */

/** @import {Desk} from "viewer/studio/desk.js" */
/** @import {Pending} from "viewer/studio/queue.js" */

import { h, replace } from "viewer/dom.js";
import { rename } from "viewer/studio/naming.js";

const SIGNS = {
  saved: "Saved",
  saving: "Saving…",
  waiting: "Not saved yet",
  conflict: "Not saved yet",
};

/**
 * @param {Desk} desk
 * @returns {Node[]}
 */
export function savedSign(desk) {
  const sign = h("span", { class: "saved", role: "status", "data-status": "saved" }, "Saved");
  const undo = backButton(desk, "undo", "↶");
  const redo = backButton(desk, "redo", "↷");
  const draw = () => {
    const { status, pending, reason } = desk.queue;
    sign.dataset.status = status;
    const number = pending.length > 1 && status !== "saving" ? ` (${pending.length})` : "";
    sign.textContent = SIGNS[status] + number;
    sign.title =
      status === "waiting"
        ? reason
        : status === "saved"
          ? "Everything is saved in the run folder."
          : "";
    for (const [button, which] of /** @type {const} */ ([
      [undo, "undo"],
      [redo, "redo"],
    ])) {
      const words = desk.model.state[which];
      button.disabled = words === null;
      button.title =
        words === null ? `Nothing to ${which}` : `${which === "undo" ? "Undo" : "Redo"}: ${words}`;
      button.setAttribute("aria-label", button.title);
    }
  };
  desk.queue.addEventListener("status", draw);
  desk.model.listen(draw);
  draw();
  return [h("span", { class: "undo-redo" }, undo, redo), sign];
}

/**
 * @param {Desk} desk
 * @param {"undo" | "redo"} which
 * @param {string} sign
 */
function backButton(desk, which, sign) {
  return h(
    "button",
    { type: "button", class: "quiet", "data-back": which, onclick: () => void desk.back(which) },
    sign,
  );
}

/**
 * @param {Desk} desk
 * @returns {{key: string, title: string, group: string, run: () => void}[]}
 */
export function backKeys(desk) {
  const undo = { title: "undo", group: "Studio", run: () => void desk.back("undo") };
  const redo = { title: "redo", group: "Studio", run: () => void desk.back("redo") };
  return [
    { key: "Mod+z", ...undo },
    { key: "Mod+Shift+z", ...redo },
    { key: "Mod+y", ...redo },
  ];
}

/**
 * Say what the server refused; a name that was typed is not lost with it.
 * @param {Desk} desk
 */
export function tellRefusals(desk) {
  desk.queue.addEventListener("refused", (event) => {
    if (!(event instanceof CustomEvent)) return;
    const { error, pending } = /** @type {{error: Error, pending: Pending}} */ (event.detail);
    const { change, words } = pending;
    const edit = "edit" in change && change.edit.kind === "name" ? change.edit : null;
    const action = edit && {
      title: "Type it again",
      run: () => rename(desk, edit.class, edit.name ?? ""),
    };
    desk.app.toast(`Not done: ${words}. ${error.message}`, {
      kind: "error",
      action: action ?? undefined,
    });
  });
}

/**
 * A strip below the header while something waits for the server, or for a decision.
 * @param {Desk} desk
 * @returns {HTMLElement}
 */
export function notice(desk) {
  const strip = h("section", {
    class: "notice",
    role: "alert",
    "aria-label": "Not saved yet",
    hidden: true,
  });
  let shown = "";
  const draw = () => {
    const { status, reason, pending, theirs, tries } = desk.queue;
    const waits = status === "waiting" && tries > 1;
    const text = waits
      ? `waiting ${reason} ${pending.length}`
      : status === "conflict"
        ? `conflict ${theirs} ${pending.length}`
        : "";
    if (text === shown) return;
    shown = text;
    strip.hidden = !text;
    if (waits) drawWaiting(desk, strip);
    else if (text) drawConflict(desk, strip);
    else replace(strip);
  };
  desk.queue.addEventListener("status", draw);
  return strip;
}

/**
 * @param {Desk} desk
 * @param {HTMLElement} strip
 */
function drawWaiting(desk, strip) {
  const { pending, reason } = desk.queue;
  const again = h("button", { type: "button", onclick: () => void desk.queue.send() }, "Try now");
  replace(
    strip,
    h(
      "p",
      {},
      h("strong", {}, `Not saved yet: ${listed(pending)}. `),
      `${reason} It is kept here and tried again; go on working.`,
    ),
    again,
  );
}

/**
 * @param {Desk} desk
 * @param {HTMLElement} strip
 */
function drawConflict(desk, strip) {
  const { pending, theirs } = desk.queue;
  const before = document.activeElement;
  const decide = (/** @type {() => void} */ decision) => {
    decision();
    if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
  };
  const go = h(
    "button",
    { type: "button", class: "primary", onclick: () => decide(() => desk.queue.goOn()) },
    "Do it on top",
  );
  const drop = h(
    "button",
    { type: "button", onclick: () => decide(() => desk.queue.giveUp()) },
    "Leave it",
  );
  replace(
    strip,
    h(
      "p",
      {},
      h("strong", {}, "Changed elsewhere meanwhile"),
      theirs ? `: ${theirs}. ` : ". ",
      `Yours waits: ${listed(pending)}.`,
    ),
    go,
    drop,
  );
  go.focus({ preventScroll: true });
}

/** @param {{words: string}[]} pending */
function listed(pending) {
  const words = pending.slice(0, 3).map((each) => each.words);
  return words.join("; ") + (pending.length > 3 ? `; and ${pending.length - 3} more` : "");
}
