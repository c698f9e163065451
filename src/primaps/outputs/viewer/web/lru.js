/** A cache that forgets what was not used for longest. */

/** @template V */
export class Lru {
  /**
   * @param {number} capacity sum of the weights that it keeps
   * @param {(value: V) => number} [weigh] of a value; 1 each if left out
   */
  constructor(capacity, weigh = () => 1) {
    this.capacity = capacity;
    this.weigh = weigh;
    /** @type {Map<string, {value: V, weight: number}>} the oldest first */
    this.entries = new Map();
    this.weight = 0;
  }

  /**
   * @param {string} key
   * @returns {V | undefined}
   */
  get(key) {
    const entry = this.entries.get(key);
    if (!entry) return undefined;
    this.entries.delete(key);
    this.entries.set(key, entry);
    return entry.value;
  }

  /**
   * @param {string} key
   * @param {V} value
   */
  set(key, value) {
    this.delete(key);
    const weight = this.weigh(value);
    this.entries.set(key, { value, weight });
    this.weight += weight;
    for (const oldest of this.entries.keys()) {
      if (this.weight <= this.capacity || oldest === key) break;
      this.delete(oldest);
    }
  }

  /** @param {string} key */
  delete(key) {
    const entry = this.entries.get(key);
    if (!entry) return;
    this.entries.delete(key);
    this.weight -= entry.weight;
  }
}
