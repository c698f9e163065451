/** One card per class: how much there is of it, how it looks, what it may be mixed up with. */

import {
  coherence,
  EXAMPLE_KINDS,
  examplesOf,
  lookAlike,
  meanCertainty,
} from "viewer/class_figures.js";
import { h, replace } from "viewer/dom.js";
import { drawRegion } from "viewer/region.js";
import { seenColour, smallSwatch } from "viewer/swatches.js";
import { decimal, percent, plural } from "viewer/text.js";

/** @import {App} from "viewer/app.js" */
/** @import {ExampleKind, Gram} from "viewer/class_figures.js" */
/** @import {Lazy} from "viewer/lazy.js" */
/** @import {ClassEntry, Example} from "viewer/types.js" */

/** One large, four small ones; in a row where all kinds are shown. */
const EXAMPLES = 5;

/** What the figures of a card mean; the page holds these texts once, for `aria-describedby`. */
export const FIGURES = {
  photographs: "In how many photographs the class has pixels.",
  coherence:
    "How alike the regions of the class are: 1 = all the same, 0 = nothing in common. A low " +
    "figure means that the class may mix several things.",
  certainty:
    "How clearly the class was preferred to the second best one, on average: 100 % = no doubt. " +
    "Low figures are usual; compare the classes with each other.",
  alike:
    "The class whose regions resemble these most, and how much: close to 1 means that both may " +
    "be one and the same thing.",
};

/** @param {keyof typeof FIGURES} name */
const describedBy = (name) => ({ "data-tip": FIGURES[name], "aria-describedby": `about-${name}` });

/** @returns {HTMLElement} the explanations, for screen readers */
export function figureTexts() {
  return h(
    "div",
    { hidden: true },
    ...Object.entries(FIGURES).map(([name, text]) => h("p", { id: `about-${name}` }, text)),
  );
}

/** Shows one class; `update` changes what has changed and leaves the rest alone. */
export class ClassCard {
  /**
   * @param {App} app
   * @param {Lazy} lazy
   * @param {Gram | null} gram
   * @param {number} id
   */
  constructor(app, lazy, gram, id) {
    this.app = app;
    this.lazy = lazy;
    this.gram = gram;
    this.id = id;
    this.swatch = h("span", { class: "swatch", "aria-hidden": "true" });
    this.heading = h("h3", { id: `class-${id}-name`, tabindex: "-1" });
    this.share = h("span", { class: "share" });
    this.bar = h("i", {});
    this.lists = h("div", { class: "example-lists" });
    this.figures = h("dl", { class: "figures" });
    this.link = h("a", {
      class: "more",
      href: app.href("gallery", { class: id, sort: "share", down: 1 }),
    });
    this.actions = h("div", { class: "card-actions" });
    this.actions.addEventListener("focusout", () => setTimeout(() => this.drawActions()));
    /** @type {string} what the actions were made for */
    this.actionsFor = "";
    /** @type {string} what the pictures show */
    this.shown = "";
    this.element = h(
      "article",
      { class: "card", id: `class-${id}`, "aria-labelledby": `class-${id}-name` },
      h("header", {}, this.swatch, this.heading, this.share),
      h("div", { class: "share-bar", "aria-hidden": "true" }, this.bar),
      this.lists,
      this.figures,
      h("footer", {}, this.link, this.actions),
    );
    this.update();
  }

  /** @returns {ClassEntry | undefined} */
  get entry() {
    return this.app.model.byId.get(this.id);
  }

  update() {
    const { model } = this.app;
    const { entry } = this;
    if (!entry) return;
    this.drawColours();
    this.bar.style.width = `${100 * model.share(this.id)}%`;
    replace(
      this.heading,
      h("bdi", {}, model.title(this.id)),
      entry.name ? h("span", { class: "number" }, ` ${this.id}`) : null,
    );
    replace(
      this.share,
      percent(model.share(this.id)),
      h("span", { class: "unseen" }, " of all pixels"),
    );
    replace(
      this.link,
      "Its photographs",
      h("span", { class: "unseen" }, ` (${model.title(this.id)})`),
    );
    this.drawFigures(entry);
    this.drawExamples();
    this.drawActions();
  }

  drawColours() {
    const colour = seenColour(this.app, this.id);
    this.swatch.style.background = colour;
    this.bar.style.background = colour;
  }

  /** @param {ClassEntry} entry */
  drawFigures(entry) {
    const { app, gram } = this;
    const { model } = app;
    const certainty = meanCertainty(model.run, entry.clusters);
    const alike = gram && lookAlike(gram, model, this.id);
    replace(
      this.figures,
      figure("photographs", "photographs", String(model.totals.get(this.id)?.images ?? 0)),
      gram && figure("coherence", "coherence", decimal(coherence(gram, entry.clusters))),
      certainty === null ? null : figure("certainty", "certainty", percent(certainty)),
      alike && figure("alike", "looks like", this.alikeLink(alike.id), decimal(alike.cosine)),
    );
  }

  /** @param {number} other */
  alikeLink(other) {
    const { app } = this;
    return h(
      "a",
      { href: app.href("classes", { class: other }) },
      smallSwatch(app, other),
      h("span", { class: "name" }, app.model.title(other)),
    );
  }

  drawExamples() {
    const { app } = this;
    const chosen = app.settings.get("examples");
    const kinds = EXAMPLE_KINDS.filter(({ kind }) => chosen === "all" || kind === chosen);
    const lists = kinds.map((list) => ({
      list,
      examples: examplesOf(app.model, this.id, list, EXAMPLES),
    }));
    const shown = JSON.stringify([chosen, lists.map(({ examples }) => examples)]);
    // The pictures that are there draw themselves anew; only other ones are made.
    if (shown === this.shown) return;
    this.shown = shown;
    this.lazy.drop(this.lists);
    replace(
      this.lists,
      ...lists.map(({ list, examples }) => this.exampleList(list, examples, chosen === "all")),
    );
  }

  /**
   * @param {ExampleKind} list
   * @param {Example[]} examples
   * @param {boolean} headed
   */
  exampleList(list, examples, headed) {
    const head = headed ? h("p", { class: "list-head" }, list.title) : null;
    if (!examples.length)
      return h("div", {}, head, h("p", { class: "soft" }, "No examples of this kind."));
    const items = examples.map((example, place) => h("li", {}, this.example(list, example, place)));
    return h("div", {}, head, h("ul", { class: headed ? "examples row" : "examples" }, ...items));
  }

  /**
   * @param {ExampleKind} list
   * @param {Example} example
   * @param {number} place
   */
  example(list, example, place) {
    const { app, id } = this;
    const name = app.model.run.images.name[example.image];
    const canvas = h("canvas", { "aria-hidden": "true" });
    this.lazy.add(canvas, () => {
      fitToScreen(canvas);
      return drawRegion(canvas, app.model, example, id);
    });
    return h(
      "a",
      {
        href: app.href("photo", { name, class: id }),
        title: `${name} (${decimal(example.score)})`,
        "aria-label": `${list.title} example ${place + 1} of ${app.model.title(id)}: ${name}`,
      },
      h("span", { class: "picture" }, canvas),
    );
  }

  /** What the studio adds; never taken away while somebody is in it. */
  drawActions() {
    const { entry } = this;
    const wanted = JSON.stringify(entry);
    if (!entry || wanted === this.actionsFor || this.actions.contains(document.activeElement))
      return;
    this.actionsFor = wanted;
    replace(this.actions, ...this.app.extras.classCardActions(entry));
  }
}

/**
 * As many pixels as the screen has for it.
 * @param {HTMLCanvasElement} canvas
 */
function fitToScreen(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const fine = Math.min(2, devicePixelRatio);
  canvas.width = Math.max(1, Math.round(width * fine));
  canvas.height = Math.max(1, Math.round(height * fine));
}

/**
 * @param {keyof typeof FIGURES} name
 * @param {string} title
 * @param {...(Node | string)} value
 */
function figure(name, title, ...value) {
  return h("div", {}, h("dt", describedBy(name), title), h("dd", {}, ...value));
}

/**
 * A class without card: no pixels, or ignored.
 * @param {App} app
 * @param {ClassEntry} entry
 */
export function smallClass(app, entry) {
  const why = entry.ignore ? plural(entry.clusters.length, "group") + " left out" : "no pixels";
  return h(
    "li",
    {},
    smallSwatch(app, entry.id),
    h("span", { class: "name" }, app.model.title(entry.id)),
    h("span", { class: "soft" }, why),
    ...app.extras.classCardActions(entry),
  );
}
