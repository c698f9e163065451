/** Fewer or more classes with a slider, seen at once; nothing changes until the cut is kept. */

/** @import {Desk} from "viewer/studio/desk.js" */
/** @import {Tree} from "viewer/types.js" */
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
  if (tree) {
    const view = new Cutting(desk, tree);
    return { element: view.element, title, destroy: () => view.destroy() };
  }
  const element = h(
    "section",
    { class: "coarse" },
    h("h2", {}, title),
    h("p", {}, "This run has no tree of its clusters; a run of this version has one."),
  );
  return { element, title, destroy: () => undefined };
}

class Cutting {
  /**
   * @param {Desk} desk
   * @param {Tree} tree
   */
  constructor(desk, tree) {
    this.desk = desk;
    this.tree = tree;
    const { state, run } = desk.model;
    const now = state.classes.filter((entry) => entry.clusters.length).length;
    this.slider = h("input", {
      type: "range",
      min: 2,
      max: tree.num_clusters,
      value: Math.max(2, Math.min(tree.num_clusters, now)),
      id: "cut-slider",
      oninput: () => this.draw(),
    });
    this.label = h("output", { for: "cut-slider", class: "figure" });
    this.problems = h("div", { role: "status" });
    this.legend = h("ul", { class: "cut-legend", "aria-label": "Classes of this cut" });
    this.keep = h(
      "button",
      { type: "button", class: "primary", onclick: () => void this.take() },
      "Keep this cut",
    );
    this.canvases = sample(desk).map((image) => ({
      image,
      canvas: h("canvas", { role: "img", "aria-label": `Preview of ${run.images.name[image]}` }),
    }));
    this.element = this.page();
    this.destroy = desk.model.listen(() => this.draw());
    this.draw();
  }

  page() {
    return h(
      "section",
      { class: "coarse" },
      h("h2", {}, "Fewer or more classes"),
      h(
        "p",
        { class: "lead" },
        "The slider goes along the tree of the clusters: to the left the most alike become one"
          + " class, to the right they part again. Names, notes and ignored classes stay: a named"
          + " one takes in the rest of its group, and what was said of single proposals follows.",
      ),
      h(
        "div",
        { class: "cut-row" },
        h("label", { for: "cut-slider" }, "Fewer"),
        this.slider,
        h("span", { "aria-hidden": "true" }, "more"),
        this.label,
        this.keep,
      ),
      this.problems,
      h("div", { class: "cut-photos" }, ...this.canvases.map((each) => each.canvas)),
      this.legend,
    );
  }

  draw() {
    const number = Number(this.slider.value);
    const plan = planCut(this.tree, this.desk.model.state, number);
    this.label.textContent = plural(number, "class", "classes");
    this.slider.setAttribute("aria-valuetext", this.label.textContent);
    this.keep.disabled = plan.problems.length > 0;
    replace(this.problems, ...problemNodes(plan.problems));
    const model = modelOfCut(this.desk, plan.parts);
    replace(this.legend, ...plan.parts.map((part, id) => legendRow(model, id, part)));
    for (const { image, canvas } of this.canvases)
      void drawThumb(canvas, model, image, { overlay: true, side: 320 });
  }

  async take() {
    const { desk } = this;
    const classes = Number(this.slider.value);
    const words = `cut into ${classes} classes`;
    const made = await desk.edit({ kind: "cut", classes }, words);
    if (!made) return;
    const undo = { title: "Undo", run: () => void desk.back("undo") };
    desk.app.toast(made.made || `Done: ${words}.`, { action: undo });
  }
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
