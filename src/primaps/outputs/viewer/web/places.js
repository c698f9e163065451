/** Where somebody was on a page, so that "back" leads there again. */

export class Places {
  constructor() {
    /** @type {Map<number, number>} scroll position by entry of the history */
    this.positions = new Map();
    this.entry = 0;
    this.newest = 0;
    quietly(() => {
      history.scrollRestoration = "manual";
    });
    mark(0);
    let asked = false;
    window.addEventListener(
      "scroll",
      () => {
        if (asked) return;
        asked = true;
        requestAnimationFrame(() => {
          asked = false;
          this.leave();
        });
      },
      { passive: true },
    );
  }

  /** Note where we are. */
  leave() {
    this.positions.set(this.entry, window.scrollY);
  }

  /**
   * The page of the present address is shown: go where it was left, else to its beginning.
   * @param {boolean} fresh other content than before
   */
  arrive(fresh) {
    const known = entryOf();
    if (known === null) {
      this.entry = this.newest += 1;
      mark(this.entry);
    } else {
      this.entry = known;
    }
    const before = this.positions.get(this.entry);
    if (before !== undefined && known !== null) window.scrollTo(0, before);
    else if (fresh && known === null) window.scrollTo(0, 0);
  }
}

/** @returns {number | null} */
function entryOf() {
  const entry = history.state?.primaps;
  return typeof entry === "number" ? entry : null;
}

/** @param {number} entry */
function mark(entry) {
  quietly(() => history.replaceState({ ...history.state, primaps: entry }, ""));
}

/**
 * Some frames refuse a history of their own; then "back" leads to the beginning of a page.
 * @param {() => void} action
 */
function quietly(action) {
  try {
    action();
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}
