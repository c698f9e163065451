/** All pixels of all photographs in one bar, by class. */

import { h, replace } from "viewer/dom.js";
import { UNLABELLED } from "viewer/model.js";
import { seenColour } from "viewer/swatches.js";
import { percent } from "viewer/text.js";

/** @import {App} from "viewer/app.js" */

const NAMED = 6;

export class ShareBar {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.bar = h("div", { class: "stack", role: "img" });
    this.bar.addEventListener("click", (event) => {
      const part = event.target instanceof HTMLElement ? event.target.dataset.class : undefined;
      if (part !== undefined) app.go("classes", { class: part });
    });
    this.element = this.bar;
    this.draw();
  }

  draw() {
    const { model } = this.app;
    const parts = model.alive().map(({ id }) => this.part(id, seenColour(this.app, id)));
    const rest = model.share(UNLABELLED);
    if (rest > 0) parts.push(this.part(UNLABELLED, "var(--track)"));
    replace(this.bar, ...parts);
    const largest = model
      .alive()
      .slice(0, NAMED)
      .map(({ id }) => `${model.title(id)} ${percent(model.share(id))}`);
    this.bar.setAttribute(
      "aria-label",
      `Shares of all pixels, the largest first: ${largest.join(", ")}`,
    );
  }

  /**
   * @param {number} id
   * @param {string} colour
   */
  part(id, colour) {
    const { model } = this.app;
    const share = model.share(id);
    return h("span", {
      style: `background: ${colour}; flex: ${share.toFixed(6)} 1 0`,
      "data-tip": `${model.title(id)}: ${percent(share)}`,
      "data-class": id === UNLABELLED ? null : id,
    });
  }
}
