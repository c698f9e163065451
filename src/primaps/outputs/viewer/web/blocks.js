/** The data blocks of a report: script elements that hold texts, some still on their way. */

/**
 * @typedef {object} Block
 * @property {Uint8Array<ArrayBuffer>} bytes
 * @property {number} width
 * @property {number} height
 */

/** Gives blocks as soon as the browser has read them. */
export class Blocks {
  /** @param {Document} page */
  constructor(page) {
    this.page = page;
    /** @type {Map<string, (() => void)[]>} */
    this.waiting = new Map();
    this.observer = new MutationObserver(() => this.look());
  }

  /**
   * Whether a block is there as a whole. The text of a script element may come in pieces; it is
   * complete once something follows it.
   * @param {string} id
   */
  has(id) {
    const element = this.page.getElementById(id);
    return element !== null && (element.nextElementSibling !== null || this.complete());
  }

  complete() {
    return this.page.readyState !== "loading";
  }

  /**
   * @param {string} id
   * @returns {Promise<HTMLElement | null>} null: the page has been read and has none
   */
  async element(id) {
    if (!this.has(id) && !this.complete()) await this.wait(id);
    return this.page.getElementById(id);
  }

  /**
   * @param {string} id
   * @returns {Promise<void>}
   */
  wait(id) {
    if (!this.waiting.size) {
      this.observer.observe(this.page, { childList: true, subtree: true });
      this.page.addEventListener("readystatechange", () => this.look());
    }
    return new Promise((resolve) => {
      this.waiting.set(id, [...(this.waiting.get(id) ?? []), resolve]);
    });
  }

  look() {
    for (const [id, resolves] of this.waiting)
      if (this.has(id) || this.complete()) {
        this.waiting.delete(id);
        for (const resolve of resolves) resolve();
      }
    if (!this.waiting.size) this.observer.disconnect();
  }

  /**
   * @param {string} id
   * @returns {Promise<any>}
   */
  async json(id) {
    return JSON.parse((await this.present(id)).textContent ?? "");
  }

  /**
   * @param {string} id
   * @returns {Promise<Block>}
   */
  async bytes(id) {
    return decode(await this.present(id));
  }

  /**
   * @param {string} id
   * @returns {Promise<Block | null>}
   */
  async maybe(id) {
    const element = await this.element(id);
    return element && decode(element);
  }

  /**
   * @param {string} id
   * @returns {Promise<HTMLElement>}
   */
  async present(id) {
    const element = await this.element(id);
    if (element) return element;
    throw new Error(`The report is not complete: its block ${id} is missing. Write it again.`);
  }
}

/**
 * @param {HTMLElement} element
 * @returns {Block}
 */
function decode(element) {
  const text = atob((element.textContent ?? "").trim());
  const bytes = new Uint8Array(text.length);
  for (let place = 0; place < text.length; place += 1) bytes[place] = text.charCodeAt(place);
  return { bytes, width: Number(element.dataset.width), height: Number(element.dataset.height) };
}
