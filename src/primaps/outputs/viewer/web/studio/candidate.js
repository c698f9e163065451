/** Before and after a candidate: shares, photographs side by side, and the decision. */

/** @import {Desk} from "viewer/studio/desk.js" */
/** @import {Candidate} from "viewer/studio/api.js" */
/** @import {ServerSource} from "viewer/source.js" */

import { h, replace } from "viewer/dom.js";
/** @import {Model} from "viewer/model.js" */
import { percent } from "viewer/text.js";
import { ApiError } from "viewer/studio/api.js";
import { accept } from "viewer/studio/refitting.js";
import { supposed } from "viewer/studio/supposed.js";
import { dot } from "viewer/studio/swatches.js";
import { pair } from "viewer/studio/pairs.js";

/** Photographs shown at first, and added by "more". */
const SHOWN = 8;

/**
 * @param {Desk} desk
 * @param {Record<string, any>} params
 * @returns {{element: HTMLElement, title: string, destroy: () => void}}
 */
export function candidateView(desk, params) {
  const element = h("section", { class: "candidate" }, h("p", { role: "status" }, "Loading…"));
  let alive = true;
  void load(desk, element, Number(params.number), () => alive);
  return { element, title: "Before and after", destroy: () => (alive = false) };
}

/**
 * @param {Desk} desk
 * @param {HTMLElement} element
 * @param {number} number
 * @param {() => boolean} alive
 */
async function load(desk, element, number, alive) {
  try {
    const found = await desk.api.candidate(number);
    if (alive()) draw(desk, element, number, found);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    replace(
      element,
      h("h2", {}, "Before and after"),
      h("p", { class: "error", role: "alert" }, error.message),
      h("a", { class: "button", href: desk.app.href("classes", {}) }, "To the classes"),
    );
  }
}

/**
 * @param {Desk} desk
 * @param {HTMLElement} element
 * @param {number} number
 * @param {Candidate} found
 */
function draw(desk, element, number, found) {
  const source = /** @type {ServerSource} */ (desk.model.source);
  // Both without what was said of single proposals: that stays, whichever model is in place.
  const before = supposed(desk.model, desk.model.state.classes);
  const after = supposed(desk.model, found.classes, {
    clusters: found.images,
    maps: (image, side) => source.maps(image, side, { candidate: number }),
  });
  countByClass(after, found);
  const order = mostChanged(before, after);
  const photos = h("div", { class: "pairs" });
  const more = h("button", { type: "button" }, "More photographs");
  const add = () => {
    const from = photos.childElementCount;
    photos.append(
      ...order
        .slice(from, from + SHOWN)
        .map((each) => pair(before, after, each.image, each.changed)),
    );
    more.hidden = photos.childElementCount >= order.length;
  };
  more.addEventListener("click", add);
  replace(
    element,
    decision(desk, number, found),
    h(
      "div",
      { class: "compare-body" },
      shares(before, after),
      h("div", { class: "pairs-side" }, photos, more),
    ),
  );
  add();
}

/**
 * Its counts come by class, not by cluster.
 * @param {Model} after
 * @param {Candidate} found
 */
function countByClass(after, found) {
  after.pixels = found.images.map((row) => new Map(row));
  after.totals = new Map();
  after.total = 0;
  for (const counts of after.pixels)
    for (const [id, number] of counts) {
      const before = after.totals.get(id) ?? { pixels: 0, images: 0 };
      after.totals.set(id, { pixels: before.pixels + number, images: before.images + 1 });
      after.total += number;
    }
}

/**
 * @param {Desk} desk
 * @param {number} number
 * @param {Candidate} found
 */
function decision(desk, number, { candidate }) {
  const split = candidate.kind === "split";
  const text = split
    ? "One class was split."
    : `It learned from what was said of ${candidate.clicks} proposals.`;
  const reject = h(
    "button",
    { type: "button", onclick: () => void leave(desk, number) },
    "Reject",
  );
  const take = h(
    "button",
    { type: "button", class: "primary", onclick: () => void accept(desk, number) },
    "Accept",
  );
  const later = h("a", { class: "button", href: desk.app.href("classes", {}) }, "Later");
  return h(
    "header",
    { class: "decision" },
    h(
      "div",
      {},
      h("h2", {}, split ? "Split: before and after" : "Refit: before and after"),
      h(
        "p",
        {},
        `${text} The most changed photographs come first; point at one to read the classes there.`
          + " What you said of single regions is left out here: it stays in any case. Accepted, the"
          + " new model can be taken back.",
      ),
    ),
    h("div", { class: "studio-buttons" }, take, reject, later),
  );
}

/**
 * @param {Desk} desk
 * @param {number} number
 */
async function leave(desk, number) {
  try {
    const { state } = await desk.api.reject(number);
    desk.queue.refresh(state);
    desk.app.toast("Rejected. The present model stays.");
    desk.app.go("classes", {});
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    desk.app.toast(error.message, { kind: "error" });
  }
}

/**
 * Classes that bear the same name are the same.
 * @param {Model} model
 * @param {Map<number, number>} counts
 * @returns {Map<string, number>} share by title
 */
function byTitle(model, counts) {
  let sum = 0;
  for (const number of counts.values()) sum += number;
  /** @type {Map<string, number>} */
  const found = new Map();
  for (const [id, number] of counts) {
    const title = model.title(id);
    found.set(title, (found.get(title) ?? 0) + number / Math.max(sum, 1));
  }
  return found;
}

/**
 * Images by the difference of their shares, the largest first.
 * @param {Model} before
 * @param {Model} after
 * @returns {{image: number, changed: number}[]}
 */
function mostChanged(before, after) {
  return before.pixels
    .map((counts, image) => {
      const [was, is] = [byTitle(before, counts), byTitle(after, after.pixels[image])];
      let changed = 0;
      for (const title of new Set([...was.keys(), ...is.keys()]))
        changed += Math.abs((was.get(title) ?? 0) - (is.get(title) ?? 0)) / 2;
      return { image, changed };
    })
    .sort((a, b) => b.changed - a.changed || a.image - b.image);
}

/**
 * @param {Model} before
 * @param {Model} after
 */
function shares(before, after) {
  const all = (/** @type {Model} */ model) =>
    byTitle(model, new Map([...model.totals].map(([id, { pixels }]) => [id, pixels])));
  const [was, is] = [all(before), all(after)];
  const titles = [...new Set([...was.keys(), ...is.keys()])].sort(
    (a, b) => (is.get(b) ?? 0) - (is.get(a) ?? 0) || (was.get(b) ?? 0) - (was.get(a) ?? 0),
  );
  const colours = new Map(
    [...before.state.classes, ...after.state.classes].map((entry) => [
      entry.name ?? `class ${entry.id}`,
      entry.colour,
    ]),
  );
  const rows = titles.map((title) => {
    const change = (is.get(title) ?? 0) - (was.get(title) ?? 0);
    const sign =
      Math.abs(change) < 0.0005
        ? ""
        : `${change > 0 ? "+" : "−"}${(100 * Math.abs(change)).toFixed(1)}`;
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, dot(colours.get(title) ?? "#808080"), title),
      h("td", {}, was.has(title) ? percent(was.get(title) ?? 0) : "–"),
      h("td", {}, is.has(title) ? percent(is.get(title) ?? 0) : "–"),
      h("td", { class: "change" }, sign),
    );
  });
  return h(
    "div",
    { class: "shares", tabindex: "0", role: "region", "aria-label": "Shares before and after" },
    h(
      "table",
      {},
      h("caption", {}, "Share of all pixels"),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ...["Class", "Before", "After", "Points"].map((text) => h("th", { scope: "col" }, text)),
        ),
      ),
      h("tbody", {}, ...rows),
    ),
  );
}
