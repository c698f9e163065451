/** What somebody chose for this viewer; kept by the browser where it lets us. */

import { LOOK } from "viewer/colour.js";

const PLACE = "primaps-viewer";

const DEFAULTS = {
  theme: "system",
  opacity: LOOK.opacity,
  palette: "named",
  overlay: true,
  perPage: 24,
  help: false,
  examples: "best",
};

/** @typedef {string | number | boolean} Value */

export class Settings {
  constructor() {
    /** @type {Record<string, Value>} */
    this.values = { ...DEFAULTS, ...read() };
    /** @type {Set<(key: string) => void>} */
    this.listeners = new Set();
  }

  /**
   * @param {string} key
   * @param {Value} [otherwise]
   * @returns {any}
   */
  get(key, otherwise) {
    return this.values[key] ?? otherwise;
  }

  /**
   * @param {string} key
   * @param {Value} value
   */
  set(key, value) {
    if (this.values[key] === value) return;
    this.values[key] = value;
    write(this.values);
    for (const listener of [...this.listeners]) listener(key);
  }

  /**
   * @param {(key: string) => void} listener
   * @returns {() => void} ends it
   */
  listen(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** @returns {Record<string, Value>} what was kept, as far as it is of the expected kinds */
function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(PLACE) ?? "{}");
    return Object.fromEntries(Object.entries(kept).filter(([key, value]) => fits(key, value)));
  } catch {
    // Refused (private window, page from disk) or damaged: begin with the defaults.
    return {};
  }
}

/**
 * @param {string} key
 * @param {unknown} value
 */
function fits(key, value) {
  const usual = Object.entries(DEFAULTS).find(([name]) => name === key)?.[1];
  return usual === undefined
    ? ["string", "number", "boolean"].includes(typeof value)
    : typeof usual === typeof value;
}

/** @param {Record<string, Value>} values */
function write(values) {
  try {
    localStorage.setItem(PLACE, JSON.stringify(values));
  } catch {
    // Then they last as long as the page.
  }
}
