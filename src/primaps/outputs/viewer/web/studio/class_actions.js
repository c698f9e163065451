/** What can be done with a class on its card, and with several of them. */

/** @import {ClassEntry} from "viewer/types.js" */
/** @import {Desk} from "viewer/studio/desk.js" */

import { h, replace } from "viewer/dom.js";
import { classAt } from "viewer/studio/classes_shown.js";
import { Combobox } from "viewer/studio/combobox.js";
import { chooseKey, recolour, rename, writeNote } from "viewer/studio/naming.js";
import { popover } from "viewer/studio/popover.js";
import { askSplit } from "viewer/studio/splitting.js";

/** Data sets whose names can be taken over. */
const DATASETS = ["camvid", "cityscapes", "cocostuff", "potsdam"];

/**
 * @param {Desk} desk
 * @param {ClassEntry} entry
 * @returns {Node[]}
 */
export function classCardActions(desk, entry) {
  const { id } = entry;
  const title = desk.model.title(id);
  const box = h("input", {
    type: "checkbox",
    "data-choose": id,
    "aria-label": `Choose ${title} for merging`,
    onchange: () => desk.toggle(id),
  });
  box.checked = desk.chosen.has(id);
  const name = h(
    "button",
    {
      type: "button",
      class: "quiet",
      "aria-label": `Rename ${title}`,
      title: "Rename (F2)",
      onclick: () => rename(desk, id),
    },
    "Rename",
  );
  const more = h(
    "button",
    {
      type: "button",
      class: "quiet",
      "aria-label": `More for ${title}`,
      "aria-haspopup": "menu",
      onclick: () => classMenu(desk, id, more),
    },
    "More…",
  );
  const choose = h("label", { class: "choose", title: "Choose for merging (X)" }, box, "merge");
  const says = desk.model.run.has_proposals;
  const key = says ? h("kbd", { title: "Its key on photographs", "data-key-of": id }) : null;
  const note = h("span", { class: "class-note", "data-note-of": id });
  fillTexts(desk, ...(key ? [key] : []), note);
  return [h("div", { class: "class-actions" }, choose, name, more, key), note];
}

/**
 * Keys and notes on cards follow, also while somebody is at a button beside them.
 * @param {Desk} desk
 */
export function followTexts(desk) {
  const all = () => fillTexts(desk, ...document.querySelectorAll("[data-key-of], [data-note-of]"));
  desk.model.listen(all);
  desk.classKeys.addEventListener("change", all);
}

/**
 * @param {Desk} desk
 * @param {...Element} elements
 */
function fillTexts(desk, ...elements) {
  for (const element of elements) {
    if (!(element instanceof HTMLElement)) continue;
    const { keyOf, noteOf } = element.dataset;
    element.textContent =
      keyOf !== undefined
        ? desk.classKeys.keyOf(Number(keyOf))
        : (desk.model.byId.get(Number(noteOf))?.note ?? "");
    element.hidden = !element.textContent;
  }
}

/**
 * @param {Desk} desk
 * @param {number} id
 * @param {Element} anchor
 */
function classMenu(desk, id, anchor) {
  const entry = desk.model.byId.get(id);
  if (!entry) return;
  const title = desk.model.title(id);
  const ignore = /** @type {const} */ ({ kind: "ignore", class: id, ignore: !entry.ignore });
  const unname = /** @type {const} */ ({ kind: "name", class: id, name: null });
  /** @type {[string, () => void][]} */
  const items = [
    ["Colour…", () => recolour(desk, id, anchor)],
    ["Note…", () => writeNote(desk, id, anchor)],
    [
      entry.ignore ? "Use it again" : "Ignore: count it as unlabelled",
      () => void desk.edit(ignore, `${entry.ignore ? "use" : "ignore"} ${title}`),
    ],
  ];
  if (desk.model.run.has_proposals)
    items.push(
      ["Key…", () => chooseKey(desk, id, anchor)],
      ["Split it…", () => void askSplit(desk, id)],
    );
  if (entry.name !== null)
    items.push([
      "Take the name away",
      () => void desk.edit(unname, `take the name of ${title} away`),
    ]);
  menu(anchor, `More for ${title}`, items);
}

/**
 * A menu; arrow keys go through it.
 * @param {Element} anchor
 * @param {string} label
 * @param {[string, () => void][]} items
 */
export function menu(anchor, label, items) {
  const buttons = items.map(([text, run]) =>
    h(
      "button",
      {
        type: "button",
        role: "menuitem",
        class: "item",
        onclick: () => {
          panel.close(true);
          run();
        },
      },
      text,
    ),
  );
  const list = h("div", { role: "menu", "aria-label": label, class: "menu" }, ...buttons);
  list.addEventListener("keydown", (event) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (!step) return;
    event.preventDefault();
    const at = buttons.findIndex((button) => button === document.activeElement);
    buttons[(at + step + buttons.length) % buttons.length].focus();
  });
  const panel = popover(anchor, label, [list]);
}

/**
 * Above the cards: what concerns all classes.
 * @param {Desk} desk
 * @returns {Node[]}
 */
export function classTools(desk) {
  const { tree } = desk.model.run;
  const coarse = tree
    ? h("a", { class: "button", href: desk.app.href("coarse", {}) }, "Fewer or more classes…")
    : null;
  const names = h(
    "button",
    {
      type: "button",
      "aria-haspopup": "menu",
      onclick: () =>
        menu(names, "Names", [
          ["Names of a known data set…", () => askDataset(desk, names)],
          ["Start again without names…", () => void askReset(desk)],
        ]),
    },
    "Names…",
  );
  const suggest = h(
    "a",
    { class: "button primary", href: desk.app.href("suggest", {}) },
    "Name one after another",
  );
  return [...(desk.model.run.has_proposals ? [suggest] : []), ...(coarse ? [coarse] : []), names];
}

/**
 * @param {Desk} desk
 * @param {Element} anchor
 */
function askDataset(desk, anchor) {
  const choices = () => DATASETS.map((title) => ({ title, colour: "transparent" }));
  const combo = new Combobox({ label: "Data set", choices, placeholder: "camvid" });
  const take = () => {
    const name = combo.value;
    if (!name) return;
    panel.close(true);
    void desk.edit({ kind: "dataset", name }, `names of ${name}`);
  };
  combo.input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") take();
  });
  const hint = h(
    "p",
    { class: "hint" },
    "Its names and colours are added, ready to be given to proposals. Nothing of it is read.",
  );
  const button = h("button", { type: "button", class: "primary", onclick: take }, "Add the names");
  const panel = popover(anchor, "Names of a known data set", [combo.element, hint, button]);
}

/** @param {Desk} desk */
async function askReset(desk) {
  const yes = h("button", { type: "button", class: "primary" }, "Start again");
  const no = h("button", { type: "button" }, "Keep them");
  const dialog = desk.app.dialog({
    title: "Start again without names?",
    content: [
      h(
        "p",
        {},
        "All names, merges, colours and notes go. “Undo” brings them back, and the folder"
          + " classes-history keeps every version.",
      ),
    ],
    actions: [no, yes],
  });
  no.addEventListener("click", () => dialog.close(false));
  yes.addEventListener("click", () => dialog.close(true));
  if ((await dialog.closed) === true)
    await desk.edit({ kind: "reset" }, "start again without names");
}

/**
 * A bar that is there while classes are chosen for merging.
 * @param {Desk} desk
 * @returns {HTMLElement}
 */
export function mergeBar(desk) {
  const bar = h("section", { class: "merge-bar", "aria-label": "Merge classes", hidden: true });
  const draw = () => {
    for (const box of document.querySelectorAll("input[data-choose]"))
      if (box instanceof HTMLInputElement)
        box.checked = desk.chosen.has(Number(box.dataset.choose));
    bar.hidden = desk.chosen.size === 0 || desk.app.route.view !== "classes";
    if (bar.hidden) replace(bar);
    else drawMerge(desk, bar);
  };
  desk.choice.addEventListener("change", draw);
  addEventListener("hashchange", () => setTimeout(draw));
  return bar;
}

/**
 * @param {Desk} desk
 * @param {HTMLElement} bar
 */
function drawMerge(desk, bar) {
  const ids = [...desk.chosen].sort((a, b) => desk.model.share(b) - desk.model.share(a) || a - b);
  const titles = ids.map((id) => desk.model.title(id));
  const offered = ids.map((id) => desk.model.byId.get(id)?.name).find((name) => name) ?? "";
  const none = h(
    "button",
    { type: "button", class: "quiet", onclick: () => desk.choose([]) },
    "Choose none",
  );
  if (ids.length < 2) {
    replace(
      bar,
      h("p", { role: "status" }, `${titles[0]} is chosen: choose one more to merge them.`),
      none,
    );
    return;
  }
  const combo = new Combobox({
    label: "Name of the merged class",
    choices: () => desk.names(),
    value: offered,
    placeholder: "name of the merged class",
    quiet: true,
  });
  const merge = () => {
    const name = combo.value;
    if (!name) {
      desk.app.toast("A merged class needs a name: type one.", { kind: "error" });
      combo.input.focus();
      return;
    }
    desk.choose([]);
    void desk.edit({ kind: "merge", classes: ids, name }, `merge ${titles.join(", ")}`);
  };
  combo.input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) merge();
  });
  replace(
    bar,
    h("p", { role: "status" }, `${titles.join(" + ")} →`),
    combo.element,
    h(
      "button",
      { type: "button", class: "primary", "data-merge": true, onclick: merge },
      `Merge ${ids.length}`,
    ),
    none,
  );
}

/**
 * Keys on cards: x chooses, m goes to the name of what is merged.
 * @param {Desk} desk
 * @returns {{key: string, title: string, group: string, run: (event?: Event) => void}[]}
 */
export function cardKeys(desk) {
  return [
    {
      key: "x",
      title: "choose the class for merging",
      group: "Classes",
      run: () => {
        const id = classAt(document.activeElement);
        if (id !== null && desk.model.byId.has(id)) desk.toggle(id);
      },
    },
    {
      key: "m",
      title: "merge what is chosen",
      group: "Classes",
      run: (event) => {
        const input = document.querySelector(".merge-bar input");
        if (!(input instanceof HTMLInputElement)) return;
        event?.preventDefault();
        input.focus();
      },
    },
  ];
}
