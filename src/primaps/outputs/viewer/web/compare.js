/** The handle between the photograph and what lies over it. */

import { h } from "viewer/dom.js";

const STEP = 0.02;

/** A vertical line that a pointer or the arrow keys move. */
export class CompareHandle {
  /** @param {(share: number) => void} moved share of the width left of the handle, 0..1 */
  constructor(moved) {
    this.moved = moved;
    this.share = 0.5;
    this.element = h("div", {
      class: "photo-compare", "data-own": true, role: "slider", tabindex: "0",
      "aria-label": "photograph left, overlay right", "aria-orientation": "horizontal",
      "aria-valuemin": "0", "aria-valuemax": "100", hidden: true,
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.key(event),
      onpointerdown: (/** @type {PointerEvent} */ event) => this.down(event),
      onpointermove: (/** @type {PointerEvent} */ event) => this.drag(event),
      ondblclick: (/** @type {MouseEvent} */ event) => event.stopPropagation(),
    }, h("span", { class: "photo-compare-grip", "aria-hidden": "true" }, "‹ ›"));
  }

  get active() {
    return !this.element.hidden;
  }

  /** @param {boolean} active */
  activate(active) {
    this.element.hidden = !active;
    this.set(this.share);
  }

  /** @param {number} share */
  set(share) {
    this.share = Math.min(1, Math.max(0, share));
    this.element.style.left = `${100 * this.share}%`;
    this.element.setAttribute("aria-valuenow", String(Math.round(100 * this.share)));
    this.moved(this.active ? this.share : 0);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const step = event.shiftKey ? 5 * STEP : STEP;
    const places = new Map([
      ["ArrowLeft", this.share - step], ["ArrowDown", this.share - step],
      ["ArrowRight", this.share + step], ["ArrowUp", this.share + step],
      ["Home", 0], ["End", 1],
    ]);
    const place = places.get(event.key);
    if (place === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.set(place);
  }

  /** @param {PointerEvent} event */
  down(event) {
    this.element.setPointerCapture(event.pointerId);
    event.stopPropagation();
  }

  /** @param {PointerEvent} event */
  drag(event) {
    if (!this.element.hasPointerCapture(event.pointerId)) return;
    const box = this.element.parentElement?.getBoundingClientRect();
    if (box) this.set((event.clientX - box.left) / box.width);
  }
}
