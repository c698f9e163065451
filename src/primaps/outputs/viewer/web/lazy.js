/** Pictures that are drawn when they come near the window, and again when something changes. */

/**
 * @typedef {object} Picture
 * @property {() => Promise<void>} draw
 * @property {boolean} near
 * @property {boolean} stale
 * @property {boolean} busy
 */

export class Lazy {
  /** @param {string} [margin] how far from the window counts as near */
  constructor(margin = "300px") {
    /** @type {Map<Element, Picture>} */
    this.pictures = new Map();
    this.observer = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) this.seen(entry.target, entry.isIntersecting);
      },
      { rootMargin: margin },
    );
  }

  /**
   * @template {Element} E
   * @param {E} element
   * @param {() => Promise<void>} draw
   * @returns {E} the element
   */
  add(element, draw) {
    this.pictures.set(element, { draw, near: false, stale: true, busy: false });
    this.observer.observe(element);
    return element;
  }

  /** Forget what lies inside an element that goes. @param {Element} parent */
  drop(parent) {
    for (const element of [...this.pictures.keys()])
      if (parent.contains(element)) {
        this.observer.unobserve(element);
        this.pictures.delete(element);
      }
  }

  /**
   * @param {Element} element
   * @param {boolean} near
   */
  seen(element, near) {
    const picture = this.pictures.get(element);
    if (!picture) return;
    picture.near = near;
    void this.draw(element, picture);
  }

  /**
   * Draw one in another way, if it has been drawn.
   * @param {Element} element
   * @param {() => Promise<void>} draw
   */
  again(element, draw) {
    const picture = this.pictures.get(element);
    // What cannot be drawn now has said so when it was drawn first.
    if (picture && element.classList.contains("drawn")) draw().catch(() => undefined);
  }

  /** Draw everything anew: at once what is near, the rest when it comes near. */
  redraw() {
    for (const [element, picture] of this.pictures) {
      picture.stale = true;
      void this.draw(element, picture);
    }
  }

  /**
   * @param {Element} element
   * @param {Picture} picture
   */
  async draw(element, picture) {
    if (!picture.near || !picture.stale || picture.busy) return;
    picture.stale = false;
    picture.busy = true;
    try {
      await picture.draw();
      element.classList.add("drawn");
      element.classList.remove("failed");
    } catch (error) {
      element.classList.add("failed");
      if (element instanceof HTMLElement)
        element.title = error instanceof Error ? error.message : String(error);
    } finally {
      picture.busy = false;
    }
    // Something changed while it was drawn.
    if (picture.stale) void this.draw(element, picture);
  }

  destroy() {
    this.observer.disconnect();
    this.pictures.clear();
  }
}
