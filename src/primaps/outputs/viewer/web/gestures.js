/** Pointers and the wheel over a photograph, told as what they mean. Mouse, pen and touch alike. */

/** @typedef {{x: number, y: number}} Point CSS pixels in the element */

/**
 * @typedef {object} Meanings
 * @property {(dx: number, dy: number) => void} pan
 * @property {(factor: number, point: Point) => void} zoom
 * @property {(point: Point, event: PointerEvent) => void} click
 * @property {(point: Point | null) => void} hover null = left
 * @property {() => boolean} drawing does a drag draw a lasso instead?
 * @property {(points: Point[], done: boolean, event: PointerEvent) => void} lasso no points =
 *     given up
 */

/** A drag begins after so many pixels; less is a click. */
const SLACK = 5;

/** Follows the pointers over one element. */
export class Gestures {
  /**
   * @param {HTMLElement} element
   * @param {Meanings} meanings
   */
  constructor(element, meanings) {
    this.element = element;
    this.meanings = meanings;
    /** @type {Map<number, Point>} */
    this.pointers = new Map();
    /** @type {Point[]} of the drag, from its start */
    this.path = [];
    this.dragging = false;
    this.pinched = false;
    element.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    element.addEventListener("dblclick", (event) => {
      event.preventDefault();
      meanings.zoom(event.shiftKey ? 0.5 : 2, this.point(event));
    });
    element.addEventListener("pointerdown", (event) => this.down(event));
    element.addEventListener("pointermove", (event) => this.move(event));
    element.addEventListener("pointerup", (event) => this.up(event));
    element.addEventListener("pointercancel", (event) => this.cancel(event));
    element.addEventListener("pointerleave", () => meanings.hover(null));
  }

  /**
   * @param {MouseEvent} event
   * @returns {Point}
   */
  point(event) {
    const box = this.element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : 20;
    const speed = event.ctrlKey ? 0.01 : 0.002; // a pinch on a touchpad comes with small steps
    this.meanings.zoom(Math.exp(-event.deltaY * unit * speed), this.point(event));
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (event.button > 0 || event.target instanceof Element && event.target.closest("[data-own]"))
      return;
    this.element.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.point(event));
    if (this.pointers.size === 1) {
      this.path = [this.point(event)];
      this.dragging = this.pinched = false;
    } else if (!this.pinched) {
      if (this.dragging && this.meanings.drawing()) this.meanings.lasso([], true, event);
      this.pinched = true;
    }
  }

  /** @param {PointerEvent} event */
  move(event) {
    const point = this.point(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") this.meanings.hover(point);
      return;
    }
    if (this.pinched) this.pinch(event.pointerId, point);
    else this.drag(before, point, event);
    this.pointers.set(event.pointerId, point);
  }

  /**
   * @param {Point} before
   * @param {Point} point
   * @param {PointerEvent} event
   */
  drag(before, point, event) {
    const start = this.path[0];
    if (!this.dragging && Math.hypot(point.x - start.x, point.y - start.y) < SLACK) return;
    const first = !this.dragging;
    this.dragging = true;
    if (this.meanings.drawing()) {
      this.path.push(point);
      this.meanings.lasso(this.path, false, event);
    } else {
      const from = first ? start : before;
      this.meanings.pan(point.x - from.x, point.y - from.y);
    }
  }

  /**
   * @param {number} id of the pointer that moved
   * @param {Point} point where it is now
   */
  pinch(id, point) {
    const before = [...this.pointers.values()];
    const after = [...this.pointers].map(([key, value]) => (key === id ? point : value));
    if (before.length < 2) return;
    const [from, to] = [spread(before), spread(after)];
    this.meanings.pan(to.x - from.x, to.y - from.y);
    if (from.width > 0) this.meanings.zoom(to.width / from.width, to);
  }

  /** @param {PointerEvent} event */
  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.pointers.size > 0 || this.pinched) return;
    if (!this.dragging) this.meanings.click(this.point(event), event);
    else if (this.meanings.drawing()) this.meanings.lasso(this.path, true, event);
  }

  /** @param {PointerEvent} event */
  cancel(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.dragging && this.meanings.drawing()) this.meanings.lasso([], true, event);
  }
}

/** @param {Point[]} points of two fingers */
function spread([a, b]) {
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, width: Math.hypot(a.x - b.x, a.y - b.y) };
}
