/** The keyboard of one photograph. */

/** @import {PhotoView} from "viewer/photo.js" */

import { LAYERS } from "viewer/toolbar.js";

/** CSS pixels that the cursor moves by. */
const STEP = 12;
const FAR = 60;

/** Binds the keys; `destroy` takes them away. */
export class PhotoKeys {
  /** @param {PhotoView} photo */
  constructor(photo) {
    this.photo = photo;
    photo.window.addEventListener("keydown", (event) => this.inWindow(event));
    photo.window.addEventListener("blur", () => this.leave());
    this.removers = this.named().map((key) => photo.app.keys.add({ group: "Photograph", ...key }));
  }

  destroy() {
    for (const remove of this.removers) remove();
  }

  /** Those that the list of keys shows. */
  named() {
    const { photo } = this;
    const hiding = {
      run: () => photo.layers.show(false),
      release: () => photo.layers.show(true),
    };
    return [
      { key: "[", title: "previous photograph", run: () => photo.step(-1) },
      { key: "]", title: "next photograph", run: () => photo.step(1) },
      ...LAYERS.map(({ layer, title }, index) => ({
        key: String(index + 1), title,
        // with proposals selected, digits may be names of classes
        run: () => { if (!(photo.picking && photo.selection.size)) photo.setLayer(layer); },
      })),
      { key: "h", title: "hold: the photograph alone", ...hiding },
      { key: " ", title: "hold: the photograph alone", ...hiding },
      { key: "v", title: "compare with the photograph", run: () => photo.toggleCompare() },
      {
        key: "l",
        title: photo.app.readOnly ? "" : "lasso on or off, while correcting",
        run: () => photo.toggleLasso(),
      },
      { key: "+", title: "larger", run: () => photo.zoom(1.5) },
      { key: "=", title: "", run: () => photo.zoom(1.5) },
      { key: "-", title: "smaller", run: () => photo.zoom(1 / 1.5) },
      { key: "0", title: "all of the photograph", run: () => photo.fit() },
      { key: "Escape", title: "all classes again; nothing selected", run: () => photo.escape() },
    ];
  }

  /** @param {KeyboardEvent} event */
  inWindow(event) {
    if (event.target !== this.photo.window) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? FAR : STEP;
    const moves = new Map([
      ["ArrowLeft", [-step, 0]], ["ArrowRight", [step, 0]],
      ["ArrowUp", [0, -step]], ["ArrowDown", [0, step]],
    ]);
    const by = moves.get(event.key);
    if (by) this.move(by[0], by[1]);
    else if (event.key === "Enter" && this.photo.cursor)
      this.photo.click(this.photo.cursor, event.shiftKey);
    else return;
    event.preventDefault();
  }

  /**
   * The cursor, from the middle of what is seen.
   * @param {number} dx CSS pixels
   * @param {number} dy
   */
  move(dx, dy) {
    const { photo } = this;
    const { view, room, size } = photo;
    const start = photo.cursor ?? {
      x: (room.width / 2 - view.x) / view.scale, y: (room.height / 2 - view.y) / view.scale,
    };
    photo.moveCursor({
      x: Math.min(size.width - 0.5, Math.max(0, start.x + dx / view.scale)),
      y: Math.min(size.height - 0.5, Math.max(0, start.y + dy / view.scale)),
    });
  }

  leave() {
    this.photo.moveCursor(null);
    this.photo.point(null);
  }
}
