/** Fewer or more classes with a slider, seen at once; nothing changes until the cut is kept. */

/** @import {Desk} from "viewer/studio/desk.js" */
/** @import {Model} from "viewer/model.js" */
/** @import {Part} from "viewer/studio/tree.js" */

import { h, replace } from "viewer/dom.js";
import { percent, plural } from "viewer/text.js";
import { drawThumb } from "viewer/region.js";
import { supposed } from "viewer/studio/supposed.js";
import { dot } from "viewer/studio/swatches.js";
import { planCut } from "viewer/studio/tree.js";

/** Photographs in the preview. */
const SHOWN = 6;

/**
 * @param {Desk} desk
 * @returns {{element: HTMLElement, title: string, destroy: () => void}}
 */
export function coarseView(desk) {
  const title = "Fewer or more classes";
  const { tree } = desk.model.run;
  if (!tree) {
    const element = h(
      "section",
      { class: "coarse" },
      h("h2", {}, title),
      h("p", {}, "This run has no tree of its clusters; a run of this version has one."),
    );
    return { element, title, destroy: () => undefined };
  }
  const most = tree.num_clusters;
  const now = desk.model.state.classes.filter((entry) => entry.clusters.length).length;
  const slider = h("input", {
    type: "range",
    min: 2,
    max: most,
    value: Math.max(2, Math.min(most, now)),
    id: "cut-slider",
  });
  const label = h("output", { for: "cut-slider", class: "figure" });
  const problems = h("div", { role: "status" });
  const legend = h("ul", { class: "cut-legend", "aria-label": "Classes of this cut" });
  const keep = h("button", { type: "button", class: "primary" }, "Keep this cut");
  const canvases = sample(desk).map((image) => ({
    image,
    canvas: h("canvas", {
      role: "img",
      "aria-label": `Preview of ${desk.model.run.images.name[image]}`,
    }),
  }));
  let alive = true;
  const draw = () => {
    if (!alive) return;
    const number = Number(slider.value);
    const plan = planCut(tree, desk.model.state, number);
    label.textContent = plural(number, "class", "classes");
    slider.setAttribute("aria-valuetext", label.textContent);
    keep.disabled = plan.problems.length > 0;
    replace(problems, ...problemNodes(plan.problems));
    const model = modelOfCut(desk, plan.parts);
    replace(legend, ...plan.parts.map((part, id) => legendRow(model, id, part)));
    for (const { image, canvas } of canvases)
      void drawThumb(canvas, model, image, { overlay: true, side: 320 });
  };
  slider.addEventListener("input", draw);
  keep.addEventListener("click", () => {
    void desk
      .edit({ kind: "cut", classes: Number(slider.value) }, `cut into ${slider.value} classes`)
      .then((made) => {
        if (made)
          desk.app.toast(made.made || `Cut into ${slider.value} classes.`, {
            action: { title: "Undo", run: () => void desk.back("undo") },
          });
      });
  });
  const stop = desk.model.listen(draw);
  const element = h(
    "section",
    { class: "coarse" },
    h("h2", {}, title),
    h(
      "p",
      { class: "lead" },
      "The slider goes along the tree of the clusters: to the left the most alike become one"
        + " class, to the right they part again. Names, notes and ignored classes stay: a named one"
        + " takes in the rest of its group, and what was said of single proposals follows.",
    ),
    h(
      "div",
      { class: "cut-row" },
      h("label", { for: "cut-slider" }, "Fewer"),
      slider,
      h("span", { "aria-hidden": "true" }, "more"),
      label,
      keep,
    ),
    problems,
    h("div", { class: "cut-photos" }, ...canvases.map((each) => each.canvas)),
    legend,
  );
  draw();
  return {
    element,
    title,
    destroy: () => {
      alive = false;
      stop();
    },
  };
}

/** @param {string[]} problems */
function problemNodes(problems) {
  if (!problems.length) return [];
  return [
    h("p", { class: "error" }, problems.join(" ")),
    h("p", { class: "hint" }, "Cut elsewhere, or merge these classes or take a name away first."),
  ];
}

/**
 * Photographs spread over the run.
 * @param {Desk} desk
 */
function sample(desk) {
  const number = desk.model.run.images.name.length;
  const shown = Math.min(SHOWN, number);
  return Array.from({ length: shown }, (_, index) => Math.floor((index * number) / shown));
}

/**
 * @param {Model} model of the cut
 * @param {number} id
 * @param {Part} part
 */
function legendRow(model, id, part) {
  const [first] = part.clusters;
  const number = part.clusters.length;
  const title = part.entry?.name ?? (number > 1 ? `${number} clusters` : `cluster ${first}`);
  return h(
    "li",
    {},
    dot(part.colour),
    title,
    h("span", { class: "share" }, ` ${percent(model.share(id))}`),
  );
}

/**
 * A model in which the cut is made.
 * @param {Desk} desk
 * @param {Part[]} parts
 */
function modelOfCut(desk, parts) {
  const classes = parts.map((part, id) => ({
    id,
    name: part.entry?.name ?? null,
    colour: part.colour,
    clusters: part.clusters,
    ignore: part.entry?.ignore ?? false,
    note: "",
  }));
  return supposed(desk.model, classes);
}
