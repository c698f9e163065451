/** One photograph, with its neighbours in the gallery's order. */

import { h, replace } from "viewer/dom.js";
import { icon } from "viewer/icons.js";
import { PhotoView } from "viewer/photo.js";
import { baseName, percent, plural } from "viewer/text.js";

/** @import {App, View} from "viewer/app.js" */

/** @implements {View} */
export class PhotoPage {
  /**
   * @param {App} app
   * @param {Record<string, string>} params name
   */
  constructor(app, params) {
    this.app = app;
    this.title = "Photograph";
    this.image = -1;
    this.heading = h("h1", { class: "unseen" });
    this.back = h("a", { class: "more back" }, icon("left"), "Photographs");
    this.facts = h("p", { class: "facts soft" });
    this.warnings = h("ul", { class: "warnings" });
    this.view = new PhotoView(app);
    this.element = this.page();
    this.removers = [app.model.listen(() => this.drawFacts()), this.bindKeys()];
    this.update(params);
  }

  page() {
    return h(
      "div",
      { class: "page photo-page" },
      this.back,
      this.heading,
      this.view.element,
      this.facts,
      this.warnings,
    );
  }

  bindKeys() {
    const step = (/** @type {number} */ by) => () => this.step(by);
    const group = "Photograph";
    return this.app.keys.bind([
      { key: "ArrowRight", title: "next photograph", group, run: step(1) },
      { key: "ArrowLeft", title: "previous photograph", group, run: step(-1) },
      {
        key: "Escape",
        title: "all classes again, nothing selected; then back to the photographs",
        group,
        run: () => this.view.escape() || this.app.go("gallery", this.app.filter),
      },
    ]);
  }

  /** @param {Record<string, string>} params */
  update(params) {
    this.image = this.app.model.index(params.name ?? "");
    const missing = this.image < 0;
    this.title = baseName(params.name ?? "");
    replace(this.heading, this.title);
    this.view.element.hidden = missing;
    this.back.setAttribute("href", this.app.href("gallery", this.app.filter));
    if (missing) {
      replace(this.facts, `There is no photograph "${params.name ?? ""}" here.`);
      replace(this.warnings);
      return;
    }
    void this.view.show(this.image);
    this.isolate(params.class);
    this.drawFacts();
    this.app.model.source.prefetch?.(this.neighbours().filter((image) => image !== null));
  }

  /** @param {string | undefined} id a class to begin with */
  isolate(id) {
    if (id !== undefined && this.view.isolated !== Number(id)) this.view.isolate(Number(id));
  }

  /** The gallery's photographs; all of them if this one is not among those. */
  order() {
    const order = this.app.order();
    return order.includes(this.image)
      ? order
      : this.app.model.run.images.name.map((_, image) => image);
  }

  /** @returns {[number | null, number | null]} previous and next */
  neighbours() {
    const order = this.order();
    const place = order.indexOf(this.image);
    return [order[place - 1] ?? null, order[place + 1] ?? null];
  }

  /** @param {number} by */
  step(by) {
    const [previous, next] = this.neighbours();
    const image = by < 0 ? previous : next;
    if (image !== null) this.app.go("photo", { name: this.app.model.run.images.name[image] });
  }

  drawFacts() {
    if (this.image < 0) return;
    const { images } = this.app.model.run;
    const { image } = this;
    const [certainty, coverage, proposals] = [
      images.certainty[image],
      images.coverage[image],
      images.proposals[image],
    ];
    const said = this.app.model.said(image).size;
    const texts = [
      images.name[image].includes("/") ? images.name[image] : "",
      `${images.width[image]} × ${images.height[image]}`,
      proposals === null ? "" : plural(proposals, "region"),
      coverage === null ? "" : `${percent(coverage)} covered by them`,
      certainty === null ? "" : `certainty ${percent(certainty)}`,
      said ? plural(said, "correction") : "",
    ];
    replace(this.facts, texts.filter(Boolean).join(" · "));
    replace(this.warnings, ...images.warnings[image].map((text) => h("li", {}, text)));
  }

  destroy() {
    for (const remove of this.removers) remove();
    this.view.destroy();
  }
}
