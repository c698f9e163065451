/** What is known of the pixels of a photograph: class, proposal, certainty; on map and screen. */

/** @import {CertaintyMap, Maps} from "viewer/types.js" */
/** @import {Model} from "viewer/model.js" */
/** @import {Point} from "viewer/gestures.js" */
/** @import {Sample} from "viewer/maps.js" */
/** @import {Size, View} from "viewer/zoom.js" */

import { certaintyTable, classTable, pixel } from "viewer/colour.js";
import { classify, paintIds, sample, usualRange } from "viewer/maps.js";
import { UNLABELLED } from "viewer/model.js";
import { percent } from "viewer/text.js";

/** @typedef {{classId: number, proposal: number, certainty: number | null}} Found */

/** Lies over what a layer does not speak of. */
const VEIL = pixel([127, 127, 127], 190);

/** Maps of one photograph and what the model makes of them. */
export class Picture {
  /**
   * @param {Model} model
   * @param {number} image
   * @param {Maps} maps
   * @param {CertaintyMap | null} certainty
   */
  constructor(model, image, maps, certainty) {
    this.model = model;
    this.image = image;
    this.maps = maps;
    this.certainty = certainty;
    /** @type {[number, number]} certainties, 0..255, at the ends of the colours */
    this.range = certainty ? usualRange(certainty.values) : [0, 255];
    this.classes = new Uint8Array(maps.labels.length);
    /** @type {Map<string, Sample>} of the present view */
    this.samples = new Map();
    this.refresh();
  }

  /** Who owns what has changed. */
  refresh() {
    const { model, image } = this;
    const ignored = new Set(model.state.classes.filter((one) => one.ignore).map((one) => one.id));
    classify(this.maps, model.owner, model.said(image), ignored, this.classes);
    this.samples.clear();
  }

  /** @returns {Size} of the photograph in its own pixels */
  get size() {
    const { width, height } = this.model.run.images;
    return { width: width[this.image], height: height[this.image] };
  }

  /** Pixels of the map per pixel of the photograph. */
  get reduction() {
    return this.maps.width / this.size.width;
  }

  /**
   * @param {Point} point of the photograph
   * @returns {Found | null} null = beside it
   */
  at(point) {
    const { size, maps, certainty } = this;
    if (point.x < 0 || point.y < 0 || point.x >= size.width || point.y >= size.height) return null;
    const place = (/** @type {Size} */ map) =>
      Math.floor((point.y / size.height) * map.height) * map.width
      + Math.floor((point.x / size.width) * map.width);
    const i = place(maps);
    return {
      classId: this.classes[i],
      proposal: maps.proposals ? maps.proposals[i] : 0,
      certainty: certainty ? certainty.values[place(certainty)] / 255 : null,
    };
  }

  /**
   * Ids at the screen's resolution; kept until the view changes.
   * @param {"classes" | "proposals"} kind
   * @param {View} view
   * @param {Size & {ratio: number}} screen canvas pixels, and how many of them make a CSS pixel
   */
  sample(kind, view, { width, height, ratio }) {
    const ids = kind === "classes" ? this.classes : this.maps.proposals;
    if (!ids) return null;
    const found = this.samples.get(kind) ?? sample(ids, this.maps, {
      width, height,
      scale: (view.scale * ratio) / this.reduction,
      x: view.x * ratio,
      y: view.y * ratio,
    });
    this.samples.set(kind, found);
    return found;
  }

  /**
   * The size of what `paint` paints.
   * @param {string} layer
   * @returns {Size}
   */
  fillSize(layer) {
    return layer === "certainty" && this.certainty ? this.certainty : this.maps;
  }

  /**
   * The fill of a layer.
   * @param {string} layer
   * @param {Map<number, string>} colours by class
   * @param {number | null} isolated class
   * @param {Uint32Array} out
   */
  paint(layer, colours, isolated, out) {
    if (layer === "certainty" && this.certainty) {
      paintIds(this.certainty.values, certaintyTable(this.range), out);
      this.veilOthers(isolated, 0, out);
    } else if (layer === "proposals" && this.maps.proposals) {
      for (let i = 0; i < out.length; i += 1) out[i] = this.maps.proposals[i] ? 0 : VEIL;
      this.veilOthers(isolated, VEIL, out);
    } else if (layer === "labels") {
      paintIds(this.classes, classTable(colours, isolated), out);
    }
  }

  /**
   * @param {number | null} isolated class; null = none
   * @param {number} pixel of what is not of it
   * @param {Uint32Array} out
   */
  veilOthers(isolated, pixel, out) {
    if (isolated === null || out.length !== this.classes.length) return;
    for (let i = 0; i < out.length; i += 1) if (this.classes[i] !== isolated) out[i] = pixel;
  }

  /**
   * What lies there, in words.
   * @param {Found} found
   */
  describe({ classId, proposal, certainty }) {
    const words = [classId === UNLABELLED ? "unlabelled" : this.model.title(classId)];
    if (proposal) words.push(`proposal ${proposal}`);
    if (proposal && this.model.said(this.image).has(proposal)) words.push("said by a person");
    if (certainty !== null) words.push(`certainty ${percent(certainty)}`);
    return words.join(" · ");
  }
}
