/** A photograph from anywhere, segmented by the model in place. Nothing is added to the run. */

/** @import {Desk} from "viewer/studio/desk.js" */
/** @import {Backbone, Tried} from "viewer/studio/api.js" */

import { h, replace } from "viewer/dom.js";
import { decodeMaps, inflate } from "viewer/maps.js";
import { UNLABELLED } from "viewer/model.js";
import { drawThumb } from "viewer/region.js";
import { percent, plural } from "viewer/text.js";
import { ApiError } from "viewer/studio/api.js";
import { modelOf } from "viewer/studio/supposed.js";
import { dot } from "viewer/studio/swatches.js";

/** Pause after the slider moved, in milliseconds, before the server is asked. */
const CALM = 250;
const SIDE = 1024;

/** The file that was dropped on another page. @type {File | null} */
let waiting = null;

/**
 * Files can be dropped anywhere.
 * @param {Desk} desk
 */
export function acceptDrops(desk) {
  const shade = h(
    "div",
    { class: "drop-shade", hidden: true },
    h("p", {}, "Drop it to see it segmented"),
  );
  document.body.append(shade);
  const files = (/** @type {DragEvent} */ event) =>
    event.dataTransfer?.types.includes("Files") ?? false;
  document.addEventListener("dragover", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    shade.hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) shade.hidden = true;
  });
  document.addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    shade.hidden = true;
    const file = event.dataTransfer?.files[0];
    if (!file) return;
    waiting = file;
    if (desk.app.route.view === "try") document.dispatchEvent(new Event("primaps-dropped"));
    else desk.app.go("try", {});
  });
}

/**
 * @param {Desk} desk
 * @returns {{element: HTMLElement, title: string, destroy: () => void}}
 */
export function tryView(desk) {
  const view = new Trying(desk);
  return { element: view.element, title: "Try a photograph", destroy: () => view.destroy() };
}

class Trying {
  /** @param {Desk} desk */
  constructor(desk) {
    this.desk = desk;
    /** @type {File | null} */
    this.file = null;
    this.abort = new AbortController();
    this.timer = 0;
    this.dropped = () => this.takeWaiting();
    document.addEventListener("primaps-dropped", this.dropped);
    const choose = h("input", {
      type: "file",
      accept: "image/*,.tif,.tiff,.heic",
      id: "try-file",
    });
    choose.addEventListener("change", () => choose.files?.[0] && this.take(choose.files[0]));
    this.slider = h("input", {
      type: "range",
      min: 0.05,
      max: 0.95,
      step: 0.01,
      value: this.usual(),
      "aria-label": "Threshold",
      oninput: () => this.soon(),
    });
    this.figure = h("output", { class: "figure" }, this.slider.value);
    this.backbone = h("select", { "aria-label": "Backbone", onchange: () => this.soon() });
    this.training = h("p", { class: "hint" });
    this.status = h(
      "p",
      { role: "status", class: "drop-here" },
      "Drop a photograph anywhere, or choose one. It is only looked at: nothing is added to the"
        + " run.",
    );
    this.canvas = h("canvas", {
      role: "img",
      "aria-label": "The photograph with its classes",
      hidden: true,
    });
    this.plain = h("canvas", { role: "img", "aria-label": "The photograph", hidden: true });
    this.legend = h("ul", { class: "cut-legend", "aria-label": "Classes found" });
    this.element = h(
      "section",
      { class: "try" },
      h("h2", {}, "Try a photograph"),
      h(
        "div",
        { class: "try-tools" },
        h("label", { class: "field" }, h("span", {}, "Photograph"), choose),
        h("label", { class: "field" }, h("span", {}, "Threshold"), this.slider, this.figure),
        h("label", { class: "field" }, h("span", {}, "Backbone"), this.backbone),
      ),
      this.training,
      this.status,
      h("div", { class: "panes" }, this.plain, this.canvas),
      this.legend,
    );
    void this.fill();
    this.takeWaiting();
  }

  destroy() {
    this.abort.abort();
    clearTimeout(this.timer);
    document.removeEventListener("primaps-dropped", this.dropped);
  }

  /**
   * @param {string} text
   * @param {string} [kind] "error"
   */
  tell(text, kind = "") {
    this.status.textContent = text;
    this.status.className = kind;
  }

  /** The run's threshold. */
  usual() {
    const found =
      this.desk.model.run.settings?.proposals?.threshold
      ?? this.desk.model.run.settings?.threshold;
    return typeof found === "number" ? found : 0.4;
  }

  async fill() {
    /** @type {Backbone[]} */
    let backbones = [];
    try {
      ({ backbones } = await this.desk.api.backbones());
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.tell(error.message, "error");
    }
    replace(
      this.backbone,
      ...backbones.map((each) =>
        h(
          "option",
          { value: each.name, selected: each.current, disabled: !each.installed },
          each.name
            + (each.current ? " (of this run)" : each.installed ? "" : " (weights are not here)"),
        ),
      ),
    );
    this.backbones = backbones;
    this.explain();
  }

  explain() {
    const chosen = this.backbones?.find((each) => each.name === this.backbone.value);
    const other =
      chosen && !chosen.current
        ? " Not the run's backbone: its proposals are shown, the classes are those of the run."
        : "";
    this.training.textContent = chosen ? `Trained: ${chosen.training}.${other}` : "";
  }

  takeWaiting() {
    if (waiting) this.take(waiting);
    waiting = null;
  }

  /** @param {File} file */
  take(file) {
    this.file = file;
    this.soon(0);
  }

  /** @param {number} [pause] */
  soon(pause = CALM) {
    this.figure.textContent = Number(this.slider.value).toFixed(2);
    this.explain();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.segment(), typeof pause === "number" ? pause : CALM);
  }

  async segment() {
    const { file } = this;
    if (!file) return;
    this.abort.abort();
    const abort = (this.abort = new AbortController());
    this.tell(`Looking at ${file.name}…`);
    this.element.setAttribute("aria-busy", "true");
    try {
      const tried = await this.desk.api.try(
        file,
        { threshold: Number(this.slider.value), backbone: this.backbone.value },
        abort.signal,
      );
      await this.show(tried, file.name, abort.signal);
    } catch (error) {
      if (abort.signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      this.tell(error.message, "error");
      this.canvas.hidden = this.plain.hidden = true;
      replace(this.legend);
    } finally {
      if (!abort.signal.aborted) this.element.removeAttribute("aria-busy");
    }
  }

  /**
   * @param {Tried} tried
   * @param {string} name
   * @param {AbortSignal} signal
   */
  async show(tried, name, signal) {
    const model = await this.modelOf(tried, name);
    if (signal.aborted) return;
    this.canvas.hidden = this.plain.hidden = false;
    await Promise.all([
      drawThumb(this.plain, model, 0, { overlay: false, side: SIDE }),
      drawThumb(this.canvas, model, 0, { overlay: true, side: SIDE }),
    ]);
    if (signal.aborted) return;
    this.tell(
      `${name}: ${plural(tried.proposals, "proposal")} in `
        + `${tried.seconds.toFixed(1)} s, ${tried.width} × ${tried.height} pixels.`
        + " Nothing was added to the run.",
    );
    const maps = await model.source.maps(0);
    replace(this.legend, ...rows(this.desk, maps.labels));
  }

  /**
   * A run of one photograph, with the classes of this one.
   * @param {Tried} tried
   * @param {string} name
   */
  async modelOf(tried, name) {
    const { desk } = this;
    const { width, height, bytes } = await desk.api.triedMaps(tried.id);
    const maps = decodeMaps(await inflate(bytes), width, height, true);
    const photo = await pictureAt(desk.api.triedPhoto(tried.id));
    const { run, state, source } = desk.model;
    const images = {
      name: [name],
      width: [tried.width],
      height: [tried.height],
      proposals: [tried.proposals],
      coverage: [null],
      certainty: [null],
      clusters: [[]],
      warnings: [[]],
    };
    return modelOf(
      source,
      { ...run, images },
      { ...state, corrections: {}, pixels: {} },
      () => Promise.resolve(maps),
      () => Promise.resolve(photo),
    );
  }
}

/** @param {string} address */
async function pictureAt(address) {
  const response = await fetch(address, { credentials: "same-origin" });
  if (!response.ok)
    throw new ApiError(
      "The photograph is gone from the studio's memory: choose it again.",
      response.status,
    );
  return createImageBitmap(await response.blob());
}

/**
 * @param {Desk} desk
 * @param {Uint16Array} labels
 */
function rows(desk, labels) {
  /** @type {Map<number, number>} */
  const counts = new Map();
  for (const cluster of labels) {
    const id = desk.model.owner[cluster];
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([id, number]) =>
      h(
        "li",
        {},
        dot(
          id === UNLABELLED ? "transparent" : (desk.model.byId.get(id)?.colour ?? "transparent"),
        ),
        desk.model.title(id),
        h("span", { class: "share" }, ` ${percent(number / labels.length)}`),
      ),
    );
}
