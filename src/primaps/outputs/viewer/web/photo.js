/**
 * One photograph and what was found in it. `PhotoView` joins the parts: data (picture), pictures
 * (layers), pointers (gestures), legend and buttons.
 *
 * Tells by events on its element: "pick" (a person meant proposals), "selection", "isolate".
 */

/** @import {Point} from "viewer/gestures.js" */
/** @import {Palette} from "viewer/colour.js" */
/** @import {Layer} from "viewer/toolbar.js" */
/** @import {View} from "viewer/zoom.js" */
/** @import {Model} from "viewer/model.js" */

/**
 * What a photograph needs of the frame around it.
 * @typedef {object} Frame
 * @property {boolean} [readOnly] nothing can be corrected
 * @property {Model} model
 * @property {{get: (name: string) => any, set: (name: string, value: any) => void,
 *   listen: (told: (name: string) => void) => () => void}} settings "opacity", "palette"
 * @property {{add: (key: {key: string, title: string, group?: string,
 *   run: (event: KeyboardEvent) => void, release?: () => void}) => () => void}} keys
 * @property {{photoTools?: (view: PhotoView) => Node[]}} extras
 * @property {(view: string, params: {name: string}) => void} go
 * @property {(text: string) => void} toast
 * @property {() => number[]} order images as the gallery has them
 */

import { LOOK, classColours, classSwatch } from "viewer/colour.js";
import { CompareHandle } from "viewer/compare.js";
import { h, replace } from "viewer/dom.js";
import { Gestures } from "viewer/gestures.js";
import { LassoLine, proposalsInside } from "viewer/lasso.js";
import { Layers } from "viewer/layers.js";
import { Legend, classesOf, percent } from "viewer/legend.js";
import { UNLABELLED } from "viewer/model.js";
import { PhotoKeys } from "viewer/photo_keys.js";
import { Picture } from "viewer/picture.js";
import { Toolbar } from "viewer/toolbar.js";
import { centredOn, clamp, fit, fitScale, toPhoto, toWindow, zoomAt } from "viewer/zoom.js";

/** Milliseconds without movement after which contours are drawn anew. */
const REST = 90;
const SMALLEST_SIDE = 640;

let views = 0;

/** A photograph with its tools; `show` fills it, `destroy` ends it. */
export class PhotoView {
  /** @param {Frame} app */
  constructor(app) {
    this.app = app;
    this.model = app.model;
    this.title = "photograph";
    this.image = -1;
    /** @type {Picture | null} */
    this.picture = null;
    /** @type {number[]} images for previous and next; taken from the gallery by `show` */
    this.order = [];
    /** @type {Layer} */
    this.layer = "labels";
    /** @type {View} */
    this.view = { scale: 1, x: 0, y: 0 };
    /** @type {number | null} class */
    this.isolated = null;
    /** @type {Set<number>} proposals */
    this.selection = new Set();
    /** @type {{kind: "classes" | "proposals", id: number} | null} */
    this.lit = null;
    /** @type {Point | null} of the photograph, moved by the keyboard */
    this.cursor = null;
    this.isPicking = false;
    this.lassoing = false;
    this.largest = 0; // side of the photograph that was asked for
    this.timer = 0;
    this.frame = 0;
    this.layers = new Layers();
    this.line = new LassoLine();
    this.compare = new CompareHandle((share) => this.layers.cut(share));
    this.cross = h("div", { class: "photo-cursor", hidden: true, "aria-hidden": "true" });
    this.readout = h("div", { class: "photo-readout", hidden: true, "aria-hidden": "true" });
    this.message = h("p", { class: "photo-message", role: "alert", hidden: true });
    this.spoken = h("p", { class: "photo-spoken", role: "status" });
    this.text = h("p", { class: "photo-spoken", id: `photo-text-${(views += 1)}` });
    this.window = h("div", {
      class: "photo-window", tabindex: "0", role: "application", "aria-label": "photograph",
      "aria-roledescription": "photograph", "aria-describedby": this.text.id,
    }, this.layers.element, this.line.element, this.cross, this.compare.element, this.readout,
      this.message);
    this.legend = legendOf(this);
    this.toolbar = toolbarOf(this);
    this.element = h("section", { class: "photo" }, this.toolbar.element,
      h("div", { class: "photo-body" }, this.window, this.legend.element), this.text, this.spoken);
    this.toolbar.extras.append(...(app.extras.photoTools?.(this) ?? []));
    /** @type {Palette} that was painted with */
    this.palette = this.wantedPalette;
    this.endings = this.listen();
  }

  /** @returns {(() => void)[]} what ends it */
  listen() {
    new Gestures(this.window, {
      pan: (dx, dy) => this.move({ ...this.view, x: this.view.x + dx, y: this.view.y + dy }),
      zoom: (factor, point) => this.zoom(factor, point),
      click: (point, event) => this.click(toPhoto(this.view, point), event.shiftKey),
      hover: (point) => this.hover(point),
      drawing: () => this.lassoing && this.isPicking,
      lasso: (points, done, event) => this.draw(points, done, event.shiftKey),
    });
    const keys = new PhotoKeys(this);
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(this.window);
    return [
      this.model.listen(() => this.refresh()),
      this.app.settings.listen(() => this.restyle()),
      () => keys.destroy(),
      () => observer.disconnect(),
    ];
  }

  destroy() {
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
    this.image = -1; // what is still under way is for nobody
    for (const end of this.endings) end();
    this.element.remove();
  }

  get opacity() {
    return /** @type {number} */ (this.app.settings.get("opacity") ?? LOOK.opacity);
  }

  get wantedPalette() {
    return /** @type {Palette} */ (this.app.settings.get("palette") ?? "named");
  }

  get size() {
    const { width, height } = this.model.run.images;
    return { width: width[this.image] ?? 1, height: height[this.image] ?? 1 };
  }

  get room() {
    return { width: this.window.clientWidth || 1, height: this.window.clientHeight || 1 };
  }

  // ---- a photograph ---------------------------------------------------------------------------

  /**
   * Show an image of the run.
   * @param {number} image index
   */
  async show(image) {
    this.image = image;
    this.title = this.model.run.images.name[image];
    this.order = sequence(this.app.order(), image, this.model.run.images.name.length);
    this.picture = null;
    this.isolated = this.lit = this.cursor = null;
    this.largest = 0;
    this.clearSelection();
    this.element.setAttribute("aria-busy", "true");
    this.window.setAttribute("aria-label", this.title);
    this.message.hidden = true;
    this.showLook();
    try {
      await this.load(image);
    } catch (error) {
      if (image === this.image) this.fail(error);
    }
    if (image === this.image) this.element.removeAttribute("aria-busy");
  }

  /** @param {number} image */
  async load(image) {
    const { source, run } = this.model;
    const maps = source.maps(image);
    const certainty = run.has_certainty ? source.certainty(image) : null;
    const later = Promise.all([maps, certainty]);
    later.catch(() => {}); // told of below, unless the photograph fails first
    this.view = fit(this.size, this.room);
    const bitmap = await source.photo(image, this.wantedSide());
    if (image !== this.image) return;
    this.layers.setSize(this.size);
    this.layers.setPhoto(bitmap);
    this.layers.setFill({ width: 1, height: 1 }, () => {});
    this.fit();
    const [loaded, sure] = await later;
    if (image !== this.image) return;
    this.picture = new Picture(this.model, image, loaded, sure);
    this.refresh();
  }

  /** @param {unknown} error */
  fail(error) {
    const why = error instanceof Error ? error.message : String(error);
    this.message.textContent = `${this.title} could not be shown: ${why}`;
    this.message.hidden = false;
  }

  /** The long side that the screen can use: doubled steps, so that zooming asks seldom. */
  wantedSide() {
    const { width, height } = this.size;
    const needed = Math.max(width, height) * this.view.scale * (devicePixelRatio || 1);
    let side = SMALLEST_SIDE;
    while (side < needed) side *= 2;
    this.largest = Math.max(this.largest, side);
    return this.largest;
  }

  /** Ask for a larger photograph, if there is more to see. */
  async sharpen() {
    const { image, largest } = this;
    if (image < 0 || largest >= Math.max(this.size.width, this.size.height)) return;
    if (this.wantedSide() <= largest) return;
    try {
      const bitmap = await this.model.source.photo(image, this.largest);
      if (image === this.image && bitmap.width > this.layers.base.width)
        this.layers.setPhoto(bitmap);
    } catch (error) {
      if (image === this.image) this.fail(error);
    }
  }

  /** @param {number} step */
  step(step) {
    const next = this.order[this.order.indexOf(this.image) + step];
    if (next !== undefined) this.app.go("photo", { name: this.model.run.images.name[next] });
  }

  // ---- what is drawn --------------------------------------------------------------------------

  /** Classes have changed, or are known now. */
  refresh() {
    const { isolated } = this;
    if (isolated !== null && isolated !== UNLABELLED && !this.model.byId.has(isolated))
      this.isolated = null;
    this.picture?.refresh();
    this.repaint();
    this.settle();
  }

  /** Opacity or palette have changed; only the palette paints pixels. */
  restyle() {
    const { wantedPalette } = this;
    this.layers.setOpacity(this.opacity, this.layer);
    if (wantedPalette !== this.palette) {
      this.palette = wantedPalette;
      this.repaint();
    } else {
      this.legend.tint(this.model, this.look());
      this.toolbar.opacity.value = String(Math.round(100 * this.opacity));
    }
  }

  /** Fill and legend in the colours of now. */
  repaint() {
    const { picture, layer, isolated } = this;
    this.layers.setOpacity(this.opacity, layer);
    if (picture)
      this.layers.setFill(picture.fillSize(layer), (out) =>
        picture.paint(layer, classColours(this.model, this.wantedPalette), isolated, out));
    this.showLook();
  }

  look() {
    /** @type {[number, number]} */
    const range = this.picture?.range ?? [0, 255];
    return {
      range,
      palette: this.wantedPalette, opacity: this.opacity, layer: this.layer,
      isolated: this.isolated,
    };
  }

  showLook() {
    if (this.image < 0) return;
    const { order } = this;
    const place = order.indexOf(this.image);
    this.legend.fill(this.model, this.image, this.look());
    this.toolbar.show({
      name: this.title, place: `${place + 1} of ${order.length}`, layer: this.layer,
      opacity: this.opacity, comparing: this.compare.active, lasso: this.lassoing,
      picking: this.isPicking, missing: this.missing(), first: place <= 0,
      last: place < 0 || place === order.length - 1,
    });
    this.window.dataset.layer = this.layer;
    this.window.dataset.tool = this.lassoing && this.isPicking ? "lasso" : "move";
    this.describe();
  }

  missing() {
    /** @type {Map<Layer, string>} */
    const missing = new Map();
    const { run } = this.model;
    if (!run.has_proposals) missing.set("proposals", "no proposals were kept in this run");
    if (!run.has_certainty) missing.set("certainty", "no certainty maps were written in this run");
    else if (this.picture && !this.picture.certainty)
      missing.set("certainty", "there is no certainty map of this photograph");
    return missing;
  }

  /** The text that stands for the picture. */
  describe() {
    const classes = classesOf(this.model, this.image)
      .map(({ title, share }) => `${title} ${percent(share)}`).join(", ");
    this.text.textContent = `${this.title}: ${classes || "no classes"}. Arrow keys move a cursor`
      + " that names what lies there, Enter clicks, plus and minus zoom.";
  }

  // ---- where it lies --------------------------------------------------------------------------

  /** @param {View} view */
  move(view) {
    this.view = clamp(view, this.size, this.room);
    this.place();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.settle(), REST);
  }

  place() {
    const dense = this.picture ? this.view.scale / this.picture.reduction : 1;
    this.layers.place(this.view, dense);
    const zoomed = this.view.scale > 1.001 * fitScale(this.size, this.room);
    this.window.dataset.zoomed = String(zoomed);
    this.showCursor();
  }

  /** Contours and marks for the view of now. */
  settle() {
    clearTimeout(this.timer);
    this.picture?.samples.clear();
    const kind = { labels: "classes", proposals: "proposals", photo: null, certainty: null };
    this.layers.drawn = this.view;
    this.layers.drawLines(this.sample(kind[this.layer]));
    this.place();
    this.drawSelection();
    this.drawLit();
    void this.sharpen();
  }

  /** @param {string | null} kind */
  sample(kind) {
    if (!this.picture || (kind !== "classes" && kind !== "proposals")) return null;
    const { lines, drawn, ratio } = this.layers;
    return this.picture.sample(kind, drawn, { width: lines.width, height: lines.height, ratio });
  }

  resize() {
    if (this.image < 0 || !this.window.clientWidth) return;
    const whole = this.window.dataset.zoomed !== "true";
    this.layers.setWindow(this.room);
    this.view = whole ? fit(this.size, this.room) : clamp(this.view, this.size, this.room);
    this.settle();
  }

  /**
   * @param {number} factor
   * @param {Point} [point] of the window; the cursor or the middle without it
   */
  zoom(factor, point) {
    const { width, height } = this.room;
    const around = point
      ?? (this.cursor ? toWindow(this.view, this.cursor) : { x: width / 2, y: height / 2 });
    this.move(zoomAt(this.view, factor, around, this.size, this.room));
  }

  fit() {
    this.layers.setWindow(this.room);
    this.view = fit(this.size, this.room);
    this.settle();
  }

  // ---- what a person does ---------------------------------------------------------------------

  /** @param {Layer} layer */
  setLayer(layer) {
    if (this.missing().has(layer)) {
      this.app.toast(/** @type {string} */ (this.missing().get(layer)));
      return;
    }
    this.layer = layer;
    this.light(null);
    this.repaint();
    this.settle();
  }

  toggleCompare() {
    this.compare.activate(!this.compare.active);
    this.showLook();
  }

  toggleLasso() {
    this.lassoing = this.isPicking && !this.lassoing;
    this.showLook();
  }

  get picking() {
    return this.isPicking;
  }

  /** Clicks pick proposals instead of isolating classes. */
  set picking(picking) {
    this.isPicking = picking && this.model.run.has_proposals;
    if (!this.isPicking) this.lassoing = false;
    this.showLook();
  }

  /**
   * @param {Point} point of the photograph
   * @param {boolean} add
   */
  click(point, add) {
    const found = this.picture?.at(point);
    if (!found) return;
    if (!this.isPicking) this.isolate(found.classId);
    else this.pick(found.proposal ? [found.proposal] : [], add, found.classId, point);
  }

  /**
   * @param {number[]} proposals
   * @param {boolean} add
   * @param {number | null} classId under the pointer
   * @param {Point | null} point of the photograph
   */
  pick(proposals, add, classId, point) {
    const [only] = proposals;
    const again = proposals.length === 1 && this.selection.has(only);
    const next = new Set(add ? this.selection : proposals);
    if (again && (add || this.selection.size === 1)) next.delete(only);
    else for (const id of proposals) next.add(id);
    this.select(next);
    this.tell("pick", { image: this.image, proposals, classId, point, add });
  }

  /** @param {Iterable<number>} proposals */
  select(proposals) {
    this.selection = new Set(proposals);
    this.drawSelection();
    this.tell("selection", { image: this.image, proposals: [...this.selection] });
  }

  clearSelection() {
    if (this.selection.size) this.select([]);
  }

  drawSelection() {
    const sample = this.selection.size ? this.sample("proposals") : null;
    this.layers.drawMarks("chosen", sample, this.selection, true);
  }

  /**
   * @param {Point[]} points of the window
   * @param {boolean} done
   * @param {boolean} add
   */
  draw(points, done, add) {
    this.line.draw(done ? [] : points);
    if (!done || !this.picture || points.length < 3) return;
    const { reduction, maps } = this.picture;
    const polygon = points.map((point) => toPhoto(this.view, point))
      .map(({ x, y }) => ({ x: x * reduction, y: y * reduction }));
    const inside = proposalsInside(maps, polygon);
    this.select(add ? [...this.selection, ...inside] : inside);
    this.tell("pick", { image: this.image, proposals: inside, classId: null, point: null, add });
  }

  /**
   * One class alone; again, or null: all of them.
   * @param {number | null} classId
   */
  isolate(classId) {
    this.isolated = classId === this.isolated ? null : classId;
    this.repaint();
    this.tell("isolate", { classId: this.isolated });
  }

  /** Escape: the last thing is taken back. False if there was none. */
  escape() {
    if (this.selection.size) this.clearSelection();
    else if (this.isolated !== null) this.isolate(null);
    else return false;
    return true;
  }

  /**
   * @param {string} name
   * @param {Record<string, any>} detail
   */
  tell(name, detail) {
    this.element.dispatchEvent(new CustomEvent(name, { detail }));
  }

  // ---- hover and cursor -----------------------------------------------------------------------

  /** @param {Point | null} point of the window */
  hover(point) {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      if (point) this.moveCursor(null);
      this.point(point && toPhoto(this.view, point));
    });
  }

  /**
   * Name and mark what lies at a point.
   * @param {Point | null} point of the photograph
   */
  point(point) {
    const found = point && this.picture ? this.picture.at(point) : null;
    this.readout.hidden = !found;
    this.legend.highlight(found ? found.classId : null);
    if (!found || !this.picture) {
      this.light(null);
      return;
    }
    const text = this.picture.describe(found);
    if (this.readout.textContent !== text) this.read(text, found.classId);
    if (this.layer === "proposals" || this.isPicking)
      this.light(found.proposal ? { kind: "proposals", id: found.proposal } : null);
    else this.light(this.layer === "labels" ? { kind: "classes", id: found.classId } : null);
  }

  /**
   * @param {string} text
   * @param {number} classId
   */
  read(text, classId) {
    const dot = h("span", { class: "photo-swatch" });
    if (classId === UNLABELLED) dot.classList.add("photo-unlabelled");
    else dot.style.backgroundColor = classSwatch(this.model, classId, this.look());
    replace(this.readout, dot, text);
  }

  /** @param {{kind: "classes" | "proposals", id: number} | null} lit */
  light(lit) {
    if (lit?.kind === this.lit?.kind && lit?.id === this.lit?.id) return;
    this.lit = lit;
    this.drawLit();
  }

  drawLit() {
    const { lit } = this;
    const sample = this.sample(lit && lit.kind);
    this.layers.drawMarks("hovered", sample, lit ? [lit.id] : [], lit?.kind === "proposals");
  }

  /** @param {Point | null} cursor of the photograph; null = none */
  moveCursor(cursor) {
    this.cursor = cursor;
    if (cursor) {
      this.move(centredOn(this.view, cursor, this.size, this.room));
      this.point(cursor);
      this.spoken.textContent = this.readout.textContent;
    } else this.showCursor();
  }

  showCursor() {
    this.cross.hidden = !this.cursor;
    if (!this.cursor) return;
    const { x, y } = toWindow(this.view, this.cursor);
    this.cross.style.transform = `translate(${x}px, ${y}px)`;
  }
}

/**
 * The images that previous and next go through: the gallery's, if the shown one is among them.
 * @param {number[]} gallery
 * @param {number} image
 * @param {number} total
 */
function sequence(gallery, image, total) {
  return gallery.includes(image) ? gallery : Array.from({ length: total }, (_, i) => i);
}

/** @param {PhotoView} view */
function legendOf(view) {
  return new Legend({
    isolate: (id) => view.isolate(id),
    hover: (id) => view.light(id === null ? null : { kind: "classes", id }),
    palette: (palette) => view.app.settings.set("palette", palette),
  });
}

/** @param {PhotoView} view */
function toolbarOf(view) {
  return new Toolbar({
    step: (step) => view.step(step),
    layer: (layer) => view.setLayer(layer),
    opacity: (opacity) => view.app.settings.set("opacity", opacity),
    compare: () => view.toggleCompare(),
    hide: (hidden) => view.layers.show(!hidden),
    lasso: () => view.toggleLasso(),
    zoom: (factor) => view.zoom(factor),
    fit: () => view.fit(),
  });
}
