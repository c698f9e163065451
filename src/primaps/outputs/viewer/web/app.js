/** The frame around everything: header, addresses, keys, messages, what the studio adds. */

import { openDialog } from "viewer/dialog.js";
import { h, replace } from "viewer/dom.js";
import { Header } from "viewer/header.js";
import { parseFilter, select } from "viewer/filters.js";
import { Keys } from "viewer/keys.js";
import { showKeys } from "viewer/key_list.js";
import { Model } from "viewer/model.js";
import { Notices } from "viewer/notices.js";
import { formatRoute, parseRoute } from "viewer/route.js";
import { Places } from "viewer/places.js";
import { Settings } from "viewer/settings.js";
import { applyTheme, nextTheme } from "viewer/theme.js";
import { Tips } from "viewer/tips.js";

/** @import {DialogOptions, OpenDialog} from "viewer/dialog.js" */
/** @import {ToastOptions} from "viewer/notices.js" */
/** @import {Route} from "viewer/route.js" */
/** @import {ClassEntry, Source} from "viewer/types.js" */

/**
 * What the main part of the page shows. `update` is called instead of a new view when only the
 * parameters change.
 * @typedef {object} View
 * @property {HTMLElement} element
 * @property {string} title
 * @property {() => void} destroy
 * @property {(params: Record<string, string>) => void} [update]
 */

/** @typedef {(app: App, params: Record<string, string>) => View} MakeView */

/**
 * What others add.
 * @typedef {object} Extras
 * @property {(entry: ClassEntry) => Node[]} [classCardActions] at the end of a class card
 * @property {(view: any) => Node[]} [photoTools] beside the tools of a photograph
 * @property {() => Node[]} [header]
 * @property {() => Node[]} [classTools] above the class cards
 * @property {() => Node[]} [galleryTools] above the photographs
 * @property {Record<string, MakeView>} [routes]
 * @property {{view: string, title: string, key?: string}[]} [nav] further entries of the header
 */

const HOME = "classes";

export class App {
  /**
   * @param {HTMLElement} root
   * @param {Source} source
   * @param {Record<string, MakeView>} routes the views that every viewer has
   */
  constructor(root, source, routes) {
    this.root = root;
    this.model = new Model(source);
    this.readOnly = source.api === null;
    this.settings = new Settings();
    this.keys = new Keys(document);
    this.notices = new Notices();
    this.places = new Places();
    /** @type {Record<string, MakeView>} */
    this.routes = { ...routes };
    /** @type {Extras[]} */
    this.added = [];
    this.extras = this.merged();
    /** @type {View | null} */
    this.view = null;
    /** @type {Route} */
    this.route = { view: HOME, params: {} };
    /** @type {Record<string, string>} what the gallery shows, or showed last */
    this.filter = {};
    this.main = h("main", { id: "main", tabindex: "-1" });
    this.header = new Header(this);
  }

  /** Show the page; from now on it follows the address. */
  start() {
    const skip = h(
      "a",
      {
        class: "skip",
        href: "#main",
        onclick: (/** @type {Event} */ event) => {
          event.preventDefault();
          this.main.focus();
        },
      },
      "Skip to the content",
    );
    replace(this.root, skip, this.header.element, this.main, this.notices.element);
    applyTheme(this.settings.get("theme"));
    this.settings.listen((key) => {
      if (key === "theme") applyTheme(this.settings.get("theme"));
    });
    new Tips(document);
    this.bindKeys();
    document.addEventListener("click", (event) => this.followLink(event));
    window.addEventListener("hashchange", () => this.show());
    this.show();
  }

  bindKeys() {
    this.keys.bind([
      { key: "c", title: "classes", run: () => this.go("classes") },
      { key: "g", title: "photographs", run: () => this.go("gallery") },
      { key: "o", title: "overlay on or off", run: () => this.toggleOverlay() },
      { key: "t", title: "light, dark, or as the system has it", run: () => this.toggleTheme() },
      { key: "?", title: "this list of keys", run: () => showKeys(this) },
    ]);
  }

  /**
   * Add what the studio has more. To be called before `start`.
   * @param {Extras} extras
   */
  extend(extras) {
    this.added.push(extras);
    this.extras = this.merged();
    Object.assign(this.routes, extras.routes);
    this.header.draw();
  }

  merged() {
    const { added } = this;
    return {
      /** @param {ClassEntry} entry */
      classCardActions: (entry) => added.flatMap((each) => each.classCardActions?.(entry) ?? []),
      /** @param {any} view */
      photoTools: (view) => added.flatMap((each) => each.photoTools?.(view) ?? []),
      header: () => added.flatMap((each) => each.header?.() ?? []),
      classTools: () => added.flatMap((each) => each.classTools?.() ?? []),
      galleryTools: () => added.flatMap((each) => each.galleryTools?.() ?? []),
      nav: added.flatMap((each) => each.nav ?? []),
    };
  }

  /**
   * @param {string} view
   * @param {Record<string, unknown>} [params]
   * @returns {string} address for a link
   */
  href(view, params) {
    return formatRoute(view, params);
  }

  /**
   * @param {string} view
   * @param {Record<string, unknown>} [params]
   * @param {{replace?: boolean}} [options] replace: no step of its own for "back"
   */
  go(view, params, options = {}) {
    this.follow(formatRoute(view, params), options);
  }

  /**
   * @param {string} hash
   * @param {{replace?: boolean}} [options]
   */
  follow(hash, options = {}) {
    if (hash === location.hash) return;
    if (!options.replace) this.places.leave();
    if (!options.replace) {
      location.hash = hash;
      return;
    }
    const here = new URL(location.href);
    here.hash = hash;
    location.replace(here.href);
  }

  /**
   * Links of the viewer are followed here: in a frame without an address of its own the browser
   * would take them for links of the page around it.
   * @param {MouseEvent} event
   */
  followLink(event) {
    const link = event.target instanceof Element ? event.target.closest("a[href^='#/']") : null;
    const special =
      event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
    if (!link || event.defaultPrevented || special) return;
    event.preventDefault();
    this.follow(link.getAttribute("href") ?? "");
  }

  show() {
    const route = parseRoute(location.hash, HOME);
    const make = this.routes[route.view];
    if (!make) {
      this.toast(`There is no page "${route.view}".`, { kind: "error" });
      this.go(HOME, {}, { replace: true });
      return;
    }
    const first = this.view === null;
    const stays = this.view !== null && route.view === this.route.view && this.view.update;
    this.route = route;
    if (stays) this.view?.update?.(route.params);
    else this.change(make, first);
    this.places.arrive(!stays);
    document.title = this.pageTitle();
    this.header.mark();
  }

  /**
   * @param {MakeView} make
   * @param {boolean} first nothing was shown before
   */
  change(make, first) {
    this.view?.destroy();
    this.view = make(this, this.route.params);
    replace(this.main, this.view.element);
    if (first) return;
    this.main.focus({ preventScroll: true });
    this.say(this.view.title);
  }

  pageTitle() {
    const run = this.model.run.title;
    return this.view && this.view.title !== run ? `${this.view.title} · ${run}` : run;
  }

  /**
   * @param {string} text
   * @param {ToastOptions} [options]
   */
  toast(text, options) {
    this.notices.toast(text, options);
  }

  /** @param {string} text read aloud, not shown */
  say(text) {
    this.notices.say(text);
  }

  /**
   * @param {DialogOptions} options
   * @returns {OpenDialog}
   */
  dialog(options) {
    return openDialog(options);
  }

  /** @returns {number[]} images as the gallery has them, or had them last */
  order() {
    return select(this.model, parseFilter(this.filter));
  }

  toggleTheme() {
    this.settings.set("theme", nextTheme(this.settings.get("theme")));
    this.say(`Theme: ${this.settings.get("theme")}`);
  }

  toggleOverlay() {
    this.settings.set("overlay", !this.settings.get("overlay"));
    this.say(`Overlay ${this.settings.get("overlay") ? "on" : "off"}`);
  }
}
