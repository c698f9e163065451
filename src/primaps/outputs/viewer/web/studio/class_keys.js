/** A key for every class, as long as there are keys; kept, so that fingers can learn them. */

/** @import {Model} from "viewer/model.js" */

/** "n" is left out: it types a new name. */
const KEYS = [..."1234567890abcdefghijklmopqrstuvwxyz"];

/** @typedef {[key: string, id: number, name: string | null]} Kept */

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
    this.byKey = this.kept();
    this.fill();
    model.listen(() => this.fill());
  }

  /**
   * Keys of an earlier visit. Another model counts its classes anew: names keep their keys then.
   * @returns {Map<string, number>}
   */
  kept() {
    const { model } = this;
    /** @type {{model: string, keys: Kept[]}} */
    const { model: of, keys } = JSON.parse(
      this.storage.getItem(this.place) ?? '{"model": "", "keys": []}',
    );
    if (of === model.run.model) return new Map(keys.map(([key, id]) => [key, id]));
    const ids = new Map(model.state.classes.map((entry) => [entry.name, entry.id]));
    const named = keys.map(([key, , name]) => [key, name === null ? undefined : ids.get(name)]);
    return new Map(/** @type {[string, number][]} */ (named.filter(([, id]) => id !== undefined)));
  }

  /**
   * Give keys to classes without one: to named ones first, which also take the keys of unnamed
   * ones, then to those most used.
   */
  fill() {
    const { model, byKey } = this;
    for (const [key, id] of byKey) if (!model.byId.has(id)) byKey.delete(key);
    const isNamed = (/** @type {number | undefined} */ id) =>
      id !== undefined && (model.byId.get(id)?.name ?? null) !== null;
    const share = (
      /** @type {boolean} */ named,
      /** @type {(key: string) => boolean} */ open,
    ) => {
      const held = new Set(byKey.values());
      const keys = KEYS.filter(open);
      model.state.classes
        .filter((entry) => !entry.ignore && !held.has(entry.id) && isNamed(entry.id) === named)
        .sort((a, b) => model.share(b.id) - model.share(a.id) || a.id - b.id)
        .slice(0, keys.length)
        .forEach((entry, index) => byKey.set(keys[index], entry.id));
    };
    share(true, (key) => !isNamed(byKey.get(key)));
    share(false, (key) => !byKey.has(key));
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
    const { model } = this;
    const keys = [...this.byKey].map(([key, id]) => [key, id, model.byId.get(id)?.name ?? null]);
    this.storage.setItem(this.place, JSON.stringify({ model: model.run.model, keys }));
  }
}
