/** The first page: what was found, before how it was done. */

import { ClassCard, figureTexts, smallClass } from "viewer/cards.js";
import { readGram } from "viewer/class_figures.js";
import { detailsOf } from "viewer/details.js";
import { h, replace } from "viewer/dom.js";
import { helpToggle } from "viewer/help.js";
import { Lazy } from "viewer/lazy.js";
import { nextSteps } from "viewer/next_steps.js";
import { ShareBar } from "viewer/share_bar.js";
import { COLOUR_SETTINGS } from "viewer/swatches.js";
import { choice } from "viewer/controls.js";
import { date, plural } from "viewer/text.js";
import { thumbnail } from "viewer/thumbs.js";

/** @import {App, View} from "viewer/app.js" */

/** Those whose pictures come first in a report. */
const STRIP = 16;
const EXAMPLE_CHOICES = [
  { value: "best", title: "Most typical" },
  { value: "worst", title: "Least typical" },
  { value: "uncertain", title: "Least certain" },
  { value: "all", title: "All" },
];

/** @implements {View} */
export class Home {
  /**
   * @param {App} app
   * @param {Record<string, string>} params class: the card to go to
   */
  constructor(app, params) {
    this.app = app;
    this.title = app.model.run.title;
    this.lazy = new Lazy();
    this.gram = readGram(app.model.run);
    /** @type {Map<number, ClassCard>} in the order in which they are shown */
    this.cards = new Map();
    this.summary = h("p", { class: "lead" });
    this.shares = new ShareBar(app);
    this.grid = h("div", { class: "cards" });
    this.others = h("div", { class: "others" });
    this.details = detailsOf(app);
    this.element = this.page();
    this.update(params);
    this.removers = [
      app.model.listen(() => this.changed()),
      app.settings.listen((key) => this.setting(key)),
    ];
  }

  page() {
    const { app } = this;
    const { run } = app.model;
    return h(
      "div",
      { class: "page home" },
      h(
        "div",
        { class: "hero" },
        h(
          "div",
          {},
          h("p", { class: "eyebrow" }, date(run.date)),
          h("h1", {}, run.title),
          this.summary,
          this.notes(),
        ),
        run.about ? h("p", { class: "about" }, run.about) : null,
      ),
      helpToggle(app),
      this.shares.element,
      this.strip(),
      this.classes(),
      nextSteps(app),
      this.details.element,
      figureTexts(),
    );
  }

  /** What is wrong, in one line; the rest is in the details. */
  notes() {
    const { failures, warnings } = this.app.model.run;
    const texts = [
      warnings.length ? plural(warnings.length, "remark") : "",
      failures.length ? `${plural(failures.length, "file")} could not be used` : "",
    ].filter(Boolean);
    if (!texts.length) return null;
    return h(
      "p",
      { class: "notes" },
      `${texts.join(", ")}. `,
      h(
        "button",
        { type: "button", class: "link", onclick: () => this.details.openProblems() },
        "See why",
      ),
    );
  }

  strip() {
    const { app } = this;
    const images = app.model.run.images.name.map((_, image) => image).slice(0, STRIP);
    if (!images.length) return h("p", { class: "empty" }, "No photograph could be segmented.");
    return h(
      "section",
      { "aria-labelledby": "strip-title" },
      h(
        "div",
        { class: "section-head" },
        h("h2", { id: "strip-title" }, "Photographs"),
        h(
          "a",
          { class: "more", href: app.href("gallery") },
          `All ${app.model.run.images.name.length}`,
        ),
      ),
      h(
        "ul",
        { class: "strip" },
        ...images.map((image) => h("li", {}, thumbnail(app, this.lazy, image))),
      ),
    );
  }

  classes() {
    const { app } = this;
    return h(
      "section",
      { "aria-labelledby": "classes-title" },
      h(
        "div",
        { class: "section-head" },
        h("h2", { id: "classes-title" }, "Classes"),
        choice("Examples", EXAMPLE_CHOICES, app.settings.get("examples"), (value) =>
          app.settings.set("examples", value),
        ),
        ...app.extras.classTools(),
      ),
      this.grid,
      this.others,
    );
  }

  /** @param {Record<string, string>} params */
  update(params) {
    if (!this.cards.size) this.changed();
    const card = params.class === undefined ? undefined : this.cards.get(Number(params.class));
    if (!card) return;
    // After the place on the page has been taken up again.
    requestAnimationFrame(() => {
      card.element.scrollIntoView({ block: "center" });
      card.heading.focus({ preventScroll: true });
    });
  }

  /**
   * Cards keep their places while somebody is here; a new visit puts the largest first.
   */
  changed() {
    const { model } = this.app;
    const alive = model.alive();
    replace(this.summary, this.summaryText(alive.length));
    this.shares.draw();
    this.removeCards(new Set(alive.map((entry) => entry.id)));
    for (const { id } of alive) {
      const card = this.cards.get(id);
      if (card) card.update();
      else this.addCard(id);
    }
    this.drawOthers();
    this.details.update();
    this.lazy.redraw();
  }

  /** @param {number} alive */
  summaryText(alive) {
    const { run } = this.app.model;
    const found = `${plural(run.total_images, "photograph")}, ${plural(alive, "class", "classes")}`;
    const fewer =
      run.images.name.length < run.total_images
        ? ` This page shows ${run.images.name.length} of them.`
        : "";
    const labels = this.app.model.state.accepted === null
      ? " and no label of yours."
      : "; refitted with what you said.";
    const method = run.backbone.name ? `, found with ${run.backbone.name}${labels}` : ".";
    return found + method + fewer;
  }

  /** @param {number} id */
  addCard(id) {
    const card = new ClassCard(this.app, this.lazy, this.gram, id);
    this.cards.set(id, card);
    this.grid.append(card.element);
  }

  /** @param {Set<number>} alive */
  removeCards(alive) {
    for (const [id, card] of this.cards) {
      if (alive.has(id)) continue;
      const next = card.element.nextElementSibling ?? card.element.previousElementSibling;
      const focused = card.element.contains(document.activeElement);
      this.lazy.drop(card.element);
      this.cards.delete(id);
      card.element.remove();
      const heading = next?.querySelector("h3");
      if (focused && heading) heading.focus({ preventScroll: true });
    }
  }

  /** Classes without card; not made anew while somebody is at one of them. */
  drawOthers() {
    const { app } = this;
    if (this.others.contains(document.activeElement) && document.activeElement?.matches("input"))
      return;
    const rest = app.model.state.classes.filter((entry) => !this.cards.has(entry.id));
    const open = this.others.querySelector("details")?.open;
    if (!rest.length) {
      replace(this.others);
      return;
    }
    const title = plural(rest.length, "class", "classes") + " without pixels or ignored";
    replace(
      this.others,
      h(
        "details",
        { class: "fold", open },
        h("summary", {}, title),
        h(
          "p",
          { class: "soft" },
          "A class without pixels is harmless; it often means that fewer classes would do.",
        ),
        h("ul", { class: "small-classes" }, ...rest.map((entry) => smallClass(app, entry))),
      ),
    );
  }

  /** @param {string} key */
  setting(key) {
    if (key === "examples") for (const card of this.cards.values()) card.drawExamples();
    if (key === "overlay") this.lazy.redraw();
    if (COLOUR_SETTINGS.includes(key)) this.changed();
  }

  destroy() {
    for (const remove of this.removers) remove();
    this.lazy.destroy();
  }
}
