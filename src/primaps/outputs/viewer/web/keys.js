/** Which key does what; nothing fires while somebody types. */

/**
 * @typedef {object} Key
 * @property {string} key as `KeyboardEvent.key`, with "Mod+" (Ctrl or Cmd) or "Shift+" before it
 * @property {string} title what it does, for the list; empty = not listed
 * @property {(event: KeyboardEvent) => void} run
 * @property {string} [group] heading in the list
 * @property {() => void} [release] when the key is let go
 */

const TYPING =
  "input:not([type=checkbox],[type=radio],[type=range],[type=button]), textarea, select, " +
  "[contenteditable=true]";
const SIGNS = new Map([
  ["ArrowLeft", "←"],
  ["ArrowRight", "→"],
  ["ArrowUp", "↑"],
  ["ArrowDown", "↓"],
  ["Escape", "Esc"],
  [" ", "Space"],
]);

export class Keys {
  /** @param {Document} page */
  constructor(page) {
    /** @type {Key[]} the newest last */
    this.list = [];
    /** @type {Map<string, Key>} what is held down, by the key itself */
    this.held = new Map();
    page.addEventListener("keydown", (event) => this.down(event));
    page.addEventListener("keyup", (event) => this.up(event.key));
    window.addEventListener("blur", () => [...this.held.keys()].forEach((key) => this.up(key)));
  }

  /**
   * @param {Key} key the newest of those with the same key wins
   * @returns {() => void} takes it away
   */
  add(key) {
    this.list.push(key);
    return () => {
      this.list = this.list.filter((other) => other !== key);
    };
  }

  /**
   * @param {Key[]} keys
   * @returns {() => void} takes all of them away
   */
  bind(keys) {
    const removers = keys.map((key) => this.add(key));
    return () => removers.forEach((remove) => remove());
  }

  /** @param {KeyboardEvent} event */
  down(event) {
    if (event.defaultPrevented || event.isComposing || event.altKey) return;
    const target = event.target instanceof Element ? event.target : null;
    if (target?.closest(TYPING) || document.querySelector("dialog:modal")) return;
    if (moves(target, event.key)) return;
    const found = newest(this.list, (key) => matches(key.key, event));
    if (!found) return;
    event.preventDefault();
    if (found.release) {
      if (event.repeat) return;
      this.held.set(event.key, found);
    }
    found.run(event);
  }

  /** @param {string} key */
  up(key) {
    const held = this.held.get(key);
    this.held.delete(key);
    held?.release?.();
  }

  /** What the list shows: what a newer one covers is left out. @returns {Map<string, Key[]>} */
  groups() {
    /** @type {Map<string, Key[]>} */
    const groups = new Map();
    for (const key of this.list) {
      const covered = newest(this.list, (other) => other.key === key.key) !== key;
      if (covered || !key.title) continue;
      const group = key.group ?? "Everywhere";
      groups.set(group, [...(groups.get(group) ?? []), key]);
    }
    return groups;
  }
}

/**
 * @param {Key[]} list
 * @param {(key: Key) => boolean} fits
 * @returns {Key | undefined}
 */
function newest(list, fits) {
  return [...list].reverse().find(fits);
}

/**
 * Sliders, lists and buttons have uses of their own for some keys.
 * @param {Element | null} target
 * @param {string} key
 */
function moves(target, key) {
  if (target?.closest("input[type=range], input[type=radio]")) return key.startsWith("Arrow");
  return (key === " " || key === "Enter") && Boolean(target?.closest("button, summary, input, a"));
}

/**
 * @param {string} wanted
 * @param {KeyboardEvent} event
 */
function matches(wanted, event) {
  const parts = wanted === "+" ? ["+"] : wanted.split("+").map((part) => part || "+");
  const key = parts[parts.length - 1];
  if (parts.includes("Mod") !== (event.ctrlKey || event.metaKey)) return false;
  // Signs such as "?" need Shift on some keyboards: the sign decides then.
  const shiftCounts = key.length > 1 || key.toLowerCase() !== key.toUpperCase();
  if (shiftCounts && parts.includes("Shift") !== event.shiftKey) return false;
  return event.key.toLowerCase() === key.toLowerCase();
}

/**
 * How a key is written in the list.
 * @param {string} key
 * @returns {string[]} one text per key to press
 */
export function keyTexts(key) {
  const parts = key === "+" ? ["+"] : key.split("+").map((part) => part || "+");
  const mod = /Mac|iPhone|iPad/.test(navigator.userAgent) ? "⌘" : "Ctrl";
  return parts.map((part) => {
    if (part === "Mod") return mod;
    return SIGNS.get(part) ?? (part.length === 1 ? part.toUpperCase() : part);
  });
}
