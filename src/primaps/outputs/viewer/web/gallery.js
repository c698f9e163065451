/** All photographs, filtered, sorted, page by page. What it shows stands in the address. */

import { h, replace } from "viewer/dom.js";
import { isCorrected, parseFilter, select } from "viewer/filters.js";
import { GalleryForm } from "viewer/gallery_form.js";
import { icon } from "viewer/icons.js";
import { Lazy } from "viewer/lazy.js";
import { Pager } from "viewer/pager.js";
import { COLOUR_SETTINGS } from "viewer/swatches.js";
import { percent, plural, whole } from "viewer/text.js";
import { thumbnail } from "viewer/thumbs.js";

/** @import {App, View} from "viewer/app.js" */
/** @import {Params} from "viewer/filters.js" */

const PAGE_SIZES = [24, 60, 120];

/** @implements {View} */
export class Gallery {
  /**
   * @param {App} app
   * @param {Params} params
   */
  constructor(app, params) {
    this.app = app;
    this.title = "Photographs";
    this.lazy = new Lazy();
    /** @type {number[]} images that pass, in order */
    this.found = [];
    /** @type {number[]} those of this page */
    this.shown = [];
    this.filter = parseFilter(params);
    this.form = new GalleryForm(app.model, (changed, typing) => this.ask(changed, typing));
    this.count = h("p", { class: "figure count", id: "gallery-count" });
    this.clear = h(
      "button",
      { type: "button", class: "link", onclick: () => this.clearFilters() },
      "Clear filters",
    );
    this.sizes = this.sizeField();
    this.grid = h("ul", { class: "grid", "aria-describedby": "gallery-count" });
    this.pagers = ["Pages", "Pages, at the end"].map(
      (title) => new Pager(title, (page) => this.turn(page)),
    );
    this.element = this.page();
    this.update(params);
    this.removers = [
      app.model.listen(() => this.changed()),
      app.settings.listen((key) => this.setting(key)),
      this.bindKeys(),
    ];
  }

  page() {
    return h(
      "div",
      { class: "page gallery" },
      h(
        "div",
        { class: "section-head" },
        h("h1", {}, "Photographs"),
        ...this.app.extras.galleryTools(),
      ),
      this.form.element,
      h(
        "div",
        { class: "gallery-bar" },
        this.count,
        this.clear,
        this.pagers[0].element,
        this.sizes,
      ),
      this.grid,
      this.pagers[1].element,
    );
  }

  sizeField() {
    const chosen = this.app.settings.get("perPage");
    const field = h(
      "select",
      {},
      ...PAGE_SIZES.map((size) => h("option", { value: size, selected: size === chosen }, size)),
    );
    field.addEventListener("change", () => this.app.settings.set("perPage", Number(field.value)));
    return h("label", { class: "field inline" }, h("span", {}, "per page"), field);
  }

  bindKeys() {
    const turn = (/** @type {number} */ step) => () => this.turn(this.filter.page + step);
    const group = "Photographs";
    return this.app.keys.bind([
      { key: "ArrowRight", title: "next page", group, run: turn(1) },
      { key: "ArrowLeft", title: "previous page", group, run: turn(-1) },
      { key: "n", title: "", run: turn(1) },
      { key: "p", title: "", run: turn(-1) },
      { key: "/", title: "search by name", group, run: () => this.form.text.focus() },
      { key: "x", title: "clear filters", group, run: () => this.clearFilters() },
    ]);
  }

  /** @param {Params} params */
  update(params) {
    this.app.filter = params;
    this.filter = parseFilter(params);
    this.form.fill(params);
    this.find();
    this.draw();
    this.app.say(this.count.textContent ?? "");
  }

  find() {
    const size = this.pageSize();
    this.found = select(this.app.model, this.filter);
    this.pages = Math.max(1, Math.ceil(this.found.length / size));
    this.filter.page = Math.min(this.filter.page, this.pages);
    const start = (this.filter.page - 1) * size;
    this.shown = this.found.slice(start, start + size);
    this.start = start;
  }

  pageSize() {
    const size = this.app.settings.get("perPage");
    return PAGE_SIZES.includes(size) ? size : PAGE_SIZES[0];
  }

  draw() {
    const { app, filter, shown } = this;
    this.lazy.drop(this.grid);
    replace(this.grid, ...shown.map((image) => h("li", {}, this.tile(image))));
    if (!shown.length) replace(this.grid, this.nothing());
    this.drawCount();
    for (const pager of this.pagers) pager.update(filter.page, this.pages ?? 1);
    const size = this.pageSize();
    const end = (this.start ?? 0) + size;
    app.model.source.prefetch?.(this.found.slice(end, end + Math.min(size, PAGE_SIZES[0])));
  }

  drawCount() {
    const start = this.start ?? 0;
    const total = this.found.length;
    const all = this.app.model.run.images.name.length;
    const text = total
      ? `${whole(start + 1)}–${whole(start + this.shown.length)} of ${whole(total)}`
      : "0 photographs";
    replace(this.count, total < all ? `${text} (${whole(all)} in all)` : text);
    this.clear.hidden = total === all;
  }

  nothing() {
    return h(
      "li",
      { class: "empty" },
      h("p", {}, "No photograph passes these filters."),
      h("button", { type: "button", onclick: () => this.clearFilters() }, "Clear filters"),
    );
  }

  /** @param {number} image */
  tile(image) {
    const { app, filter } = this;
    const { images } = app.model.run;
    const certainty = images.certainty[image];
    const figure =
      filter.class === null
        ? certainty !== null &&
          h(
            "span",
            { class: "figure", "data-tip": "certainty" },
            percent(certainty),
            h("span", { class: "unseen" }, " certainty"),
          )
        : h(
            "span",
            { class: "figure", "data-tip": `share of ${app.model.title(filter.class)}` },
            percent(app.model.shareIn(image, filter.class)),
          );
    const warned =
      images.warnings[image].length > 0 &&
      h(
        "span",
        { class: "badge", "data-tip": images.warnings[image].join(" ") },
        icon("warning"),
        h("span", { class: "unseen" }, plural(images.warnings[image].length, "remark")),
      );
    const corrected =
      isCorrected(app.model, images.name[image]) && h("span", { class: "badge text" }, "corrected");
    return thumbnail(app, this.lazy, image, [corrected, warned, figure]);
  }

  /**
   * @param {Params} params without page: other photographs, so from the beginning
   * @param {boolean} typing
   */
  ask(params, typing) {
    this.app.go("gallery", params, { replace: typing });
  }

  /** @param {number} page */
  turn(page) {
    if (page < 1 || page > (this.pages ?? 1)) return;
    this.app.go("gallery", { ...this.form.params(), page: page > 1 ? page : "" });
    const top = this.element.querySelector(".gallery-bar");
    if (top && top.getBoundingClientRect().top < 0) top.scrollIntoView();
  }

  clearFilters() {
    const { sort, down } = this.form.params();
    this.app.go("gallery", { sort: sort === "share" ? "" : sort, down });
  }

  /** Names, shares or corrections changed: other photographs pass, or the same look different. */
  changed() {
    const before = String(this.shown);
    const focused = focusedImage(this.grid);
    this.form.drawClasses();
    this.form.fill(this.app.filter);
    this.find();
    if (String(this.shown) === before && focused === null) this.draw();
    else if (String(this.shown) === before) this.lazy.redraw();
    else {
      this.draw();
      focusImage(this.grid, focused);
    }
  }

  /** @param {string} key */
  setting(key) {
    if (key === "overlay" || COLOUR_SETTINGS.includes(key)) this.lazy.redraw();
    if (key !== "perPage") return;
    this.filter.page = Math.floor((this.start ?? 0) / this.pageSize()) + 1;
    this.find();
    this.draw();
  }

  destroy() {
    for (const remove of this.removers) remove();
    this.form.destroy();
    this.lazy.destroy();
  }
}

/**
 * @param {Element} grid
 * @returns {string | null} number of the image whose tile has the focus
 */
function focusedImage(grid) {
  const { activeElement } = document;
  return activeElement instanceof HTMLElement && grid.contains(activeElement)
    ? (activeElement.dataset.image ?? null)
    : null;
}

/**
 * @param {Element} grid
 * @param {string | null} image
 */
function focusImage(grid, image) {
  if (image === null) return;
  const tile = grid.querySelector(`[data-image="${image}"]`) ?? grid.querySelector("a");
  if (tile instanceof HTMLElement) tile.focus({ preventScroll: true });
}
