/** "25-48 of 312" and the buttons to turn pages. */

import { h, replace } from "viewer/dom.js";
import { icon } from "viewer/icons.js";
import { whole } from "viewer/text.js";

export class Pager {
  /**
   * @param {string} title for screen readers: there may be two
   * @param {(page: number) => void} turn
   */
  constructor(title, turn) {
    this.turn = turn;
    this.page = 1;
    this.pages = 1;
    this.first = this.button("first", "First page", () => 1);
    this.previous = this.button("left", "Previous page", () => this.page - 1);
    this.next = this.button("right", "Next page", () => this.page + 1);
    this.last = this.button("last", "Last page", () => this.pages);
    this.text = h("span", { class: "figure" });
    this.element = h(
      "nav",
      { class: "pager", "aria-label": title },
      this.first,
      this.previous,
      this.text,
      this.next,
      this.last,
    );
  }

  /**
   * @param {string} name
   * @param {string} label
   * @param {() => number} target
   */
  button(name, label, target) {
    const act = () => {
      if (button.getAttribute("aria-disabled") !== "true") this.turn(target());
    };
    const button = h(
      "button",
      { type: "button", class: "icon", "aria-label": label, onclick: act },
      icon(name),
    );
    return button;
  }

  /**
   * @param {number} page from 1
   * @param {number} pages
   */
  update(page, pages) {
    this.page = page;
    this.pages = pages;
    replace(this.text, `Page ${whole(page)} of ${whole(pages)}`);
    this.element.hidden = pages < 2;
    // Not `disabled`, which would drop the focus of whoever turns pages by keyboard.
    for (const button of [this.first, this.previous])
      button.setAttribute("aria-disabled", String(page <= 1));
    for (const button of [this.next, this.last])
      button.setAttribute("aria-disabled", String(page >= pages));
  }
}
