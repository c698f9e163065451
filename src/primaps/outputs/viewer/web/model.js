/** What follows from a run and its state: whose pixels are whose, shares; who hears of changes. */

/** @import {ClassEntry, RunRecord, Source, State} from "viewer/types.js" */

export const UNLABELLED = 255;

/** Tells listeners when the state changes; derived facts are made anew then. */
export class Model {
  /** @param {Source} source */
  constructor(source) {
    this.source = source;
    /** @type {RunRecord} */
    this.run = source.run;
    /** @type {State} */
    this.state = source.state;
    /** @type {Set<() => void>} */
    this.listeners = new Set();
    /** @type {Map<number, ClassEntry>} */
    this.byId = new Map();
    /** Class by cluster, `UNLABELLED` where it is ignored or nobody's. */
    this.owner = new Uint16Array(65536);
    /** @type {Map<number, number>[]} pixels by class, of every image */
    this.pixels = [];
    /** @type {Map<number, {pixels: number, images: number}>} */
    this.totals = new Map();
    /** Pixels of all images. */
    this.total = 0;
    this.derive();
  }

  /** @param {State} state */
  update(state) {
    this.state = state;
    this.source.state = state;
    this.derive();
    for (const listener of [...this.listeners]) listener();
  }

  /**
   * Be told of changes.
   * @param {() => void} listener
   * @returns {() => void} ends it
   */
  listen(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  derive() {
    this.byId = new Map(this.state.classes.map((entry) => [entry.id, entry]));
    this.owner.fill(UNLABELLED);
    for (const entry of this.state.classes)
      if (!entry.ignore) for (const cluster of entry.clusters) this.owner[cluster] = entry.id;
    this.pixels = this.run.images.name.map((name, index) => this.countPixels(name, index));
    this.totals = new Map();
    this.total = 0;
    for (const counts of this.pixels)
      for (const [id, number] of counts) {
        this.total += number;
        const found = this.totals.get(id) ?? { pixels: 0, images: 0 };
        this.totals.set(id, { pixels: found.pixels + number, images: found.images + 1 });
      }
  }

  /**
   * @param {string} name
   * @param {number} index
   * @returns {Map<number, number>}
   */
  countPixels(name, index) {
    const exact = this.state.pixels[name];
    if (exact) return new Map(exact);
    const counts = new Map();
    for (const [cluster, number] of this.run.images.clusters[index]) {
      const id = this.owner[cluster];
      counts.set(id, (counts.get(id) ?? 0) + number);
    }
    return counts;
  }

  /**
   * What a class is called.
   * @param {number} id
   */
  title(id) {
    if (id === UNLABELLED) return "unlabelled";
    return this.byId.get(id)?.name ?? `class ${id}`;
  }

  /**
   * Fraction of all pixels that a class has.
   * @param {number} id
   */
  share(id) {
    return this.total ? (this.totals.get(id)?.pixels ?? 0) / this.total : 0;
  }

  /**
   * Fraction of an image's pixels that a class has.
   * @param {number} image
   * @param {number} id
   */
  shareIn(image, id) {
    const counts = this.pixels[image];
    let sum = 0;
    for (const number of counts.values()) sum += number;
    return sum ? (counts.get(id) ?? 0) / sum : 0;
  }

  /** Classes with pixels, the largest first; ignored ones are not among them. */
  alive() {
    return this.state.classes
      .filter((entry) => !entry.ignore && this.totals.has(entry.id))
      .sort((a, b) => this.share(b.id) - this.share(a.id) || a.id - b.id);
  }

  /**
   * Classes of an image's proposals that a person spoke of, by proposal; `UNLABELLED` = none.
   * @param {number} image
   * @returns {Map<number, number>}
   */
  said(image) {
    const found = this.state.corrections[this.run.images.name[image]] ?? {};
    return new Map(Object.entries(found).map(([proposal, id]) => [Number(proposal), id]));
  }

  /** @param {string} name */
  index(name) {
    return this.run.images.name.indexOf(name);
  }
}
