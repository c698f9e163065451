/** Names, colours and notes of classes, changed where they are shown. */

/** @import {ClassEntry} from "viewer/types.js" */
/** @import {Desk} from "viewer/studio/desk.js" */

import { h } from "viewer/dom.js";
import { classAt, isName, nameOf } from "viewer/studio/classes_shown.js";
import { Combobox } from "viewer/studio/combobox.js";
import { popover } from "viewer/studio/popover.js";
import { swatchButton } from "viewer/studio/swatches.js";

/** Colours that are easily told apart, offered beside the free choice. */
const PALETTE = [
  "#4e79a7",
  "#f28e2b",
  "#e15759",
  "#76b7b2",
  "#59a14f",
  "#edc948",
  "#b07aa1",
  "#ff9da7",
  "#9c755f",
  "#808080",
  "#1b6ca8",
  "#d1495b",
  "#2e933c",
  "#f6ae2d",
  "#7b4b94",
  "#00a6a6",
];

/**
 * Names can be clicked on cards; F2 and a double click work wherever a class is shown.
 * @param {Desk} desk
 * @returns {() => void} ends it
 */
export function namesAreFields(desk) {
  const key = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "F2") startFrom(desk, event);
  };
  const click = (/** @type {MouseEvent} */ event) => {
    const where = event.target instanceof Element ? isName(event.target) : null;
    if (where === (event.type === "click" ? "card" : "legend")) startFrom(desk, event);
    else if (event.type === "click") recolourFrom(desk, event);
  };
  document.addEventListener("keydown", key);
  document.addEventListener("click", click);
  document.addEventListener("dblclick", click);
  return () => {
    document.removeEventListener("keydown", key);
    document.removeEventListener("click", click);
    document.removeEventListener("dblclick", click);
  };
}

/**
 * @param {Desk} desk
 * @param {Event} event
 */
function startFrom(desk, event) {
  if (!(event.target instanceof Element) || event.target.closest("dialog, .popover")) return;
  const id = classAt(event.target);
  if (id === null || !desk.model.byId.has(id)) return;
  event.preventDefault();
  rename(desk, id);
}

/**
 * The field of colour on a card opens the palette; keyboards have it in the card's menu.
 * @param {Desk} desk
 * @param {Event} event
 */
function recolourFrom(desk, event) {
  const swatch =
    event.target instanceof Element ? event.target.closest("article > header .swatch") : null;
  const id = classAt(swatch);
  if (swatch && id !== null) recolour(desk, id, swatch);
}

/**
 * A field over the name. Leaving it keeps what was typed; Escape does not.
 * @param {Desk} desk
 * @param {number} id
 * @param {string} [typed] what was typed before, and refused
 */
export function rename(desk, id, typed) {
  const title = desk.model.title(id);
  const combo = new Combobox({
    label: `Name of ${title}`,
    choices: () => desk.names(),
    value: typed ?? desk.model.byId.get(id)?.name ?? "",
    placeholder: title,
    quiet: true,
  });
  let discard = false;
  combo.input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") discard = true;
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    panel.close(true);
  });
  const hint = h("p", { class: "hint" }, "Enter saves, Esc leaves it as it was.");
  const panel = popover(nameOf(id), `Rename ${title}`, [combo.element, hint], (taken) => {
    if (taken || !discard) void saveName(desk, id, combo.value);
    focusAgain(id);
  });
  combo.input.select();
}

/** @param {number} id */
function focusAgain(id) {
  requestAnimationFrame(() => {
    const name = nameOf(id);
    const again = name.closest("[tabindex], button, a[href]") ?? name;
    if (document.activeElement === document.body && again instanceof HTMLElement) again.focus();
  });
}

/**
 * A name that another class has already means one class: it is asked.
 * @param {Desk} desk
 * @param {number} id
 * @param {string} name
 */
async function saveName(desk, id, name) {
  const entry = desk.model.byId.get(id);
  if (!entry || (entry.name ?? "") === name) return;
  const same = desk.model.state.classes.find(
    (each) => each.id !== id && name && each.name === name,
  );
  if (same) {
    await askMerge(desk, id, same, name);
    return;
  }
  await desk.edit(
    { kind: "name", class: id, name: name || null },
    name
      ? `name ${desk.model.title(id)} “${name}”`
      : `take the name of ${desk.model.title(id)} away`,
  );
}

/**
 * @param {Desk} desk
 * @param {number} id
 * @param {ClassEntry} same
 * @param {string} name
 */
async function askMerge(desk, id, same, name) {
  const title = desk.model.title(id);
  const yes = h("button", { type: "button", class: "primary" }, "Make them one class");
  const no = h("button", { type: "button" }, "Leave both as they are");
  const dialog = desk.app.dialog({
    title: `There is a class “${name}” already`,
    content: [h("p", {}, `If ${title} is the same thing, the two become one class.`)],
    actions: [no, yes],
  });
  no.addEventListener("click", () => dialog.close(false));
  yes.addEventListener("click", () => dialog.close(true));
  yes.focus();
  if ((await dialog.closed) === true)
    await desk.edit(
      { kind: "merge", classes: [same.id, id], name },
      `merge ${title} into ${name}`,
    );
}

/**
 * @param {Desk} desk
 * @param {number} id
 * @param {Element} anchor
 */
export function recolour(desk, id, anchor) {
  const entry = desk.model.byId.get(id);
  if (!entry) return;
  const save = (/** @type {string} */ colour) => {
    panel.close(true);
    if (colour !== desk.model.byId.get(id)?.colour)
      void desk.edit({ kind: "colour", class: id, colour }, `colour of ${desk.model.title(id)}`);
  };
  const free = h("input", { type: "color", value: entry.colour, "aria-label": "Any colour" });
  free.addEventListener("change", () => save(free.value));
  const swatches = PALETTE.map((colour) => swatchButton(colour, colour, () => save(colour)));
  const panel = popover(anchor, `Colour of ${desk.model.title(id)}`, [
    h("div", { class: "swatches" }, ...swatches),
    h("label", { class: "row" }, "Another: ", free),
  ]);
}

/**
 * @param {Desk} desk
 * @param {number} id
 * @param {Element} anchor
 */
export function writeNote(desk, id, anchor) {
  const entry = desk.model.byId.get(id);
  if (!entry) return;
  const title = desk.model.title(id);
  const text = h("textarea", { rows: 4, "aria-label": `Note on ${title}`, maxlength: 1000 });
  text.value = entry.note;
  let discard = false;
  text.addEventListener("keydown", (event) => {
    if (event.key === "Escape") discard = true;
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    panel.close(true);
  });
  const done = h(
    "button",
    { type: "button", class: "primary", onclick: () => panel.close(true) },
    "Done",
  );
  const panel = popover(anchor, `Note on ${title}`, [text, done], (taken) => {
    const note = text.value.trim().replace(/\s+/g, " ");
    if ((taken || !discard) && note !== desk.model.byId.get(id)?.note)
      void desk.edit({ kind: "note", class: id, note }, `note on ${title}`);
  });
  text.focus();
}

/**
 * @param {Desk} desk
 * @param {number} id
 * @param {Element} anchor
 */
export function chooseKey(desk, id, anchor) {
  const title = desk.model.title(id);
  const field = h("input", {
    type: "text",
    maxlength: 1,
    size: 2,
    "aria-label": `Key of ${title}`,
    value: desk.classKeys.keyOf(id) ?? "",
    autocomplete: "off",
  });
  const hint = h("p", { class: "hint", role: "status" }, "0–9 or a letter other than n.");
  field.addEventListener("input", () => {
    const key = field.value.toLowerCase();
    if (!key) return;
    if (desk.classKeys.assign(id, key)) {
      // Later: a browser goes on to show where it typed, at the page's end if the field is gone.
      setTimeout(() => panel.close(true));
      desk.app.say(`${title} has the key ${key}.`);
    } else {
      field.value = "";
      hint.textContent = `“${key}” cannot be a key of a class: take 0–9 or a letter other than n.`;
    }
  });
  const panel = popover(anchor, `Key of ${title}`, [
    h("label", { class: "row" }, "Press a key ", field),
    hint,
  ]);
  field.select();
}
