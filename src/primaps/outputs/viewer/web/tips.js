/**
 * Explanations beside what carries `data-tip`, for pointer and keyboard. Where a label does not say
 * it all already, `aria-describedby` points to the same text.
 */

import { h } from "viewer/dom.js";

const GAP = 8;

export class Tips {
  /** @param {Document} page */
  constructor(page) {
    this.bubble = h("div", { class: "tip", "aria-hidden": "true" });
    this.bubble.hidden = true;
    page.body.append(this.bubble);
    for (const type of ["pointerover", "focusin"])
      page.addEventListener(type, (event) => this.over(event));
    for (const type of ["pointerout", "focusout", "pointerdown", "wheel"])
      page.addEventListener(type, () => this.hide(), { passive: true });
    page.addEventListener("keydown", (event) => event.key === "Escape" && this.hide());
  }

  /** @param {Event} event */
  over(event) {
    const found = event.target instanceof Element ? event.target.closest("[data-tip]") : null;
    if (!(found instanceof HTMLElement)) return;
    if (event.type === "focusin" && !found.matches(":focus-visible")) return;
    this.show(found);
  }

  /** @param {HTMLElement} about */
  show(about) {
    // Above a dialog only what is inside it is seen.
    (about.closest("dialog") ?? document.body).append(this.bubble);
    this.bubble.textContent = about.dataset.tip ?? "";
    this.bubble.hidden = false;
    const box = about.getBoundingClientRect();
    const own = this.bubble.getBoundingClientRect();
    const left = box.left + box.width / 2 - own.width / 2;
    const below = box.bottom + GAP + own.height < innerHeight;
    const top = below ? box.bottom + GAP : box.top - GAP - own.height;
    const room = document.documentElement.clientWidth - own.width - GAP;
    this.bubble.style.left = `${Math.max(GAP, Math.min(left, room))}px`;
    this.bubble.style.top = `${top}px`;
  }

  hide() {
    this.bubble.hidden = true;
  }
}
