/** A key for every class, as long as there are keys; kept, so that fingers can learn them. */

/** @import {Model} from "viewer/model.js" */

/** "n" is left out: it types a new name. */
const KEYS = [..."1234567890abcdefghijklmopqrstuvwxyz"];

/** Which key stands for which class; dispatches "change". */
export class ClassKeys extends EventTarget {
  /**
   * @param {Model} model
   * @param {Pick<Storage, "getItem" | "setItem">} storage
   * @param {string} place in the storage
   */
  constructor(model, storage, place) {
    super();
    this.model = model;
    this.storage = storage;
    this.place = place;
    /** @type {Map<string, number>} class by key */
    this.byKey = new Map(JSON.parse(storage.getItem(place) ?? "[]"));
    this.fill();
    model.listen(() => this.fill());
  }

  /** Give free keys to classes without one: named ones and those most used come first. */
  fill() {
    const { model } = this;
    for (const [key, id] of this.byKey) if (!model.byId.has(id)) this.byKey.delete(key);
    const held = new Set(this.byKey.values());
    const waiting = model.state.classes
      .filter((entry) => !entry.ignore && !held.has(entry.id))
      .sort((a, b) => model.share(b.id) - model.share(a.id) || a.id - b.id);
    const free = KEYS.filter((key) => !this.byKey.has(key));
    waiting.slice(0, free.length).forEach((entry, index) => this.byKey.set(free[index], entry.id));
    this.keep();
  }

  /**
   * @param {number} id
   * @returns {string | null}
   */
  keyOf(id) {
    for (const [key, found] of this.byKey) if (found === id) return key;
    return null;
  }

  /**
   * The class that a key stands for.
   * @param {string} key
   */
  classOf(key) {
    return this.byKey.get(key) ?? null;
  }

  /**
   * Give a class another key; who had it takes the one that is free now.
   * @param {number} id
   * @param {string} key
   */
  assign(id, key) {
    if (!KEYS.includes(key)) return false;
    const former = this.keyOf(id);
    const other = this.byKey.get(key);
    if (former !== null) this.byKey.delete(former);
    this.byKey.set(key, id);
    if (former !== null && other !== undefined && other !== id) this.byKey.set(former, other);
    this.keep();
    this.dispatchEvent(new Event("change"));
    return true;
  }

  keep() {
    this.storage.setItem(this.place, JSON.stringify([...this.byKey]));
  }
}
