/** The bar at the top: where we are, where one can go, how it looks. */

import { h, replace, svg } from "viewer/dom.js";
import { showKeys } from "viewer/key_list.js";
import { icon } from "viewer/icons.js";

/** @import {App} from "viewer/app.js" */

const NAV = [
  { view: "classes", title: "Classes" },
  { view: "gallery", title: "Photographs" },
];
/** The view that an entry stands for, where it is not its own. */
const WITHIN = new Map([["photo", "gallery"]]);

export class Header {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.element = h("header", { class: "bar" });
    this.theme = h("button", { type: "button", class: "icon", onclick: () => app.toggleTheme() });
    this.overlay = h(
      "button",
      {
        type: "button",
        class: "icon",
        "data-tip": "Colours on the photographs (O)",
        "aria-label": "Overlay",
        onclick: () => app.toggleOverlay(),
      },
      icon("layers"),
    );
    app.settings.listen((key) => {
      if (key === "theme" || key === "overlay") this.drawButtons();
    });
    this.draw();
  }

  draw() {
    const { app } = this;
    const links = [...NAV, ...app.extras.nav].map(({ view, title }) =>
      h("a", { href: app.href(view), "data-view": view }, title),
    );
    replace(
      this.element,
      h(
        "a",
        {
          class: "brand",
          href: app.href("classes"),
          "aria-label": `${app.model.run.title}, start`,
        },
        mark(),
        h("span", {}, app.model.run.title),
      ),
      h("nav", { "aria-label": "Main" }, ...links),
      h(
        "div",
        { class: "bar-tools" },
        ...app.extras.header(),
        this.overlay,
        this.theme,
        this.keysButton(),
      ),
    );
    this.drawButtons();
    this.mark();
  }

  keysButton() {
    return h(
      "button",
      {
        type: "button",
        class: "icon",
        "aria-label": "Keys",
        "data-tip": "Keys (?)",
        onclick: () => showKeys(this.app),
      },
      icon("keyboard"),
    );
  }

  drawButtons() {
    const theme = this.app.settings.get("theme");
    const shown = theme === "system" ? "as the system" : theme;
    replace(this.theme, icon(theme));
    this.theme.setAttribute("aria-label", `Theme: ${shown}. Change`);
    this.theme.dataset.tip = `Theme: ${shown} (T)`;
    this.overlay.setAttribute("aria-pressed", String(this.app.settings.get("overlay")));
  }

  /** Show which entry we are in. */
  mark() {
    const here = WITHIN.get(this.app.route.view) ?? this.app.route.view;
    for (const link of this.element.querySelectorAll("nav a"))
      if (link instanceof HTMLElement && link.dataset.view === here)
        link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
  }
}

/** Three overlapping regions: the sign of the project. */
function mark() {
  return svg(
    "svg",
    { viewBox: "0 0 24 24", width: 22, height: 22, "aria-hidden": "true", class: "mark" },
    svg("path", { d: "M3 15 9 4l6 6-3 10H5Z", fill: "var(--mark-1)" }),
    svg("path", { d: "m9 4 12 3-3 8-6 5 3-10Z", fill: "var(--mark-2)" }),
    svg("path", { d: "m12 20 6-5 3 3-3 3Z", fill: "var(--mark-3)" }),
  );
}
