/**
 * A source without a run: 12 classes in a grid of 4 x 3 cells, each cell its own proposal but the
 * last one, which has none. Certainty grows from left to right. And a frame around the photograph.
 */

import { Model } from "viewer/model.js";

const COLOURS = [
  "#e6194b", "#3c8cff", "#ffd21f", "#2eb872", "#a04ae0", "#ff8a1f",
  "#19d3d8", "#f45ec8", "#a5e22e", "#8a5a2b", "#1f4fd1", "#ffb3a7",
];

export class FakeSource {
  constructor({ images = 3, width = 400, height = 300, tone = "#808080", delay = 0 } = {}) {
    Object.assign(this, { width, height, tone, delay, api: null, asked: [] });
    const all = (value) => Array.from({ length: images }, () => value);
    const pixels = (width / 4) * (height / 3);
    this.run = {
      format: 1, title: "fake", num_clusters: 12, has_proposals: true, has_certainty: true,
      total_images: images,
      images: {
        name: all(0).map((_, i) => `p${i}.jpg`), width: all(width), height: all(height),
        proposals: all(11), coverage: all(0.9), certainty: all(0.5), warnings: all([]),
        clusters: all(COLOURS.map((_, cluster) => [cluster, pixels])),
      },
    };
    this.state = {
      revision: 1, corrections: {}, pixels: {}, asleep: [], undo: null, redo: null,
      candidates: [], accepted: null,
      classes: COLOURS.map((colour, id) => (
        { id, name: `name ${id}`, colour, clusters: [id], ignore: false, note: "" })),
    };
  }

  cell(width, height, at) {
    const [columns, rows] = [width / 4, height / 3];
    return Uint16Array.from({ length: width * height }, (_, i) =>
      at(Math.floor((i % width) / columns) + 4 * Math.floor(Math.floor(i / width) / rows)));
  }

  size(side) {
    const scale = Math.min(1, (side ?? Infinity) / Math.max(this.width, this.height));
    return [Math.round(this.width * scale), Math.round(this.height * scale)];
  }

  async photo(image, side) {
    this.asked.push(["photo", image, side]);
    await new Promise((done) => setTimeout(done, this.delay));
    if (image < 0 || image >= this.run.images.name.length) throw new Error("no such image");
    const [width, height] = this.size(side);
    const canvas = new OffscreenCanvas(width, height);
    const drawing = canvas.getContext("2d");
    drawing.fillStyle = this.tone;
    drawing.fillRect(0, 0, width, height);
    return createImageBitmap(canvas);
  }

  async maps(image, side) {
    this.asked.push(["maps", image, side]);
    const [width, height] = this.size(side);
    const labels = this.cell(width, height, (cell) => cell);
    const proposals = this.cell(width, height, (cell) => (cell === 11 ? 0 : cell + 1));
    return { width, height, labels, proposals };
  }

  async certainty() {
    const [width, height] = this.size();
    const values = Uint8Array.from({ length: width * height }, (_, i) =>
      Math.floor((256 * (i % width)) / width));
    return { width, height, values };
  }
}

/** The frame: settings, keys and addresses as the viewer has them, in a few lines. */
export function frameOf(model, extras = {}) {
  const values = { opacity: 0.65, palette: "named" };
  const told = new Set();
  const keys = new Map();
  const frame = {
    model, extras, gone: [], toasts: [],
    settings: {
      get: (name) => values[name],
      set(name, value) {
        values[name] = value;
        for (const one of told) one(name);
      },
      listen(one) {
        told.add(one);
        return () => told.delete(one);
      },
    },
    keys: {
      held: keys,
      add(key) {
        keys.set(key.key, key);
        return () => keys.delete(key.key);
      },
    },
    go: (view, params) => {
      frame.gone.push([view, params]);
      globalThis.view?.show(model.index(params.name));
    },
    toast: (text) => frame.toasts.push(text),
    order: () => [],
  };
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || !keys.has(event.key)) return;
    event.preventDefault();
    keys.get(event.key).run(event);
  });
  document.addEventListener("keyup", (event) => keys.get(event.key)?.release?.());
  return frame;
}

/** A model, and a photograph of it on the page; all of it within reach of a test. */
export async function showPhoto(options = {}) {
  const { PhotoView } = await import("viewer/photo.js");
  const source = new FakeSource(options);
  const model = new Model(source);
  const frame = frameOf(model);
  const view = new PhotoView(frame);
  document.body.append(view.element);
  Object.assign(globalThis, { source, model, frame, view, events: [] });
  for (const kind of ["pick", "selection", "isolate"])
    view.element.addEventListener(kind, (event) => globalThis.events.push([kind, event.detail]));
  await view.show(0);
}

/** The same state with some classes changed: {id: {colour, name, clusters, ignore}}. */
export function changed(state, classes, rest = {}) {
  return {
    ...state, ...rest,
    classes: state.classes.map((one) => ({ ...one, ...classes[one.id] })),
  };
}
