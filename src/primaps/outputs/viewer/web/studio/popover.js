/**
 * A small panel beside what it is about, over the page: making the page anew below it loses nothing
 * that was typed. One at a time.
 */

import { h } from "viewer/dom.js";

/** @typedef {{element: HTMLElement, close: (taken?: boolean) => void}} Popover */

/** @type {Popover | null} */
let open = null;

/**
 * @param {Element} anchor
 * @param {string} label
 * @param {Node[]} content
 * @param {(taken: boolean) => void} [closed] `taken` is false after Escape and clicks elsewhere
 * @returns {Popover}
 */
export function popover(anchor, label, content, closed) {
  open?.close();
  const back = document.activeElement;
  const element = h("div", { class: "popover", role: "dialog", "aria-label": label }, ...content);
  const away = (/** @type {Event} */ event) => {
    if (event.target instanceof Node && !element.contains(event.target)) self.close();
  };
  const key = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    event.preventDefault();
    event.stopPropagation();
    self.close();
  };
  const self = {
    element,
    close(taken = false) {
      if (open !== self) return;
      open = null;
      document.removeEventListener("pointerdown", away, true);
      const inside = element.contains(document.activeElement);
      element.remove();
      if (inside && back instanceof HTMLElement && back.isConnected) back.focus();
      closed?.(taken);
    },
  };
  element.addEventListener("keydown", key);
  open = self;
  document.body.append(element);
  place(element, anchor.getBoundingClientRect());
  document.addEventListener("pointerdown", away, true);
  const first = element.querySelector("input, button, textarea, select");
  if (first instanceof HTMLElement) first.focus();
  return self;
}

/**
 * @param {HTMLElement} element
 * @param {DOMRect} rect of the anchor
 */
function place(element, rect) {
  const { offsetWidth: width, offsetHeight: height } = element;
  const left = Math.max(8, Math.min(rect.left, innerWidth - width - 8));
  const below = rect.bottom + height + 12 < innerHeight || rect.top < height + 12;
  element.style.left = `${left + scrollX}px`;
  element.style.top = `${(below ? rect.bottom + 4 : rect.top - height - 4) + scrollY}px`;
}
