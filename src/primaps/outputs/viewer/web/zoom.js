/** Where a photograph lies in its window: a scale and an offset. Pure. */

/**
 * @typedef {object} View a point p of the photograph is at p * scale + offset in the window
 * @property {number} scale CSS pixels per pixel of the photograph
 * @property {number} x offset, CSS pixels
 * @property {number} y
 */

/** @typedef {{width: number, height: number}} Size */

/**
 * @param {Size} photo
 * @param {Size} window
 */
export function fitScale(photo, window) {
  return Math.min(window.width / photo.width, window.height / photo.height);
}

/**
 * All of the photograph, in the middle.
 * @param {Size} photo
 * @param {Size} window
 * @returns {View}
 */
export function fit(photo, window) {
  return clamp({ scale: fitScale(photo, window), x: 0, y: 0 }, photo, window);
}

/**
 * The nearest view that is allowed: no smaller than fitting, no gap beside a photograph that is
 * larger than the window.
 * @param {View} view
 * @param {Size} photo
 * @param {Size} window
 * @returns {View}
 */
export function clamp(view, photo, window) {
  const least = fitScale(photo, window);
  const scale = Math.min(Math.max(view.scale, least), Math.max(8 * least, 16));
  return {
    scale,
    x: place(view.x, photo.width * scale, window.width),
    y: place(view.y, photo.height * scale, window.height),
  };
}

/**
 * @param {number} offset
 * @param {number} size of the photograph
 * @param {number} room
 */
function place(offset, size, room) {
  return size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, offset));
}

/**
 * Enlarge around a point that stays where it is.
 * @param {View} view
 * @param {number} factor
 * @param {{x: number, y: number}} point of the window
 * @param {Size} photo
 * @param {Size} window
 * @returns {View}
 */
export function zoomAt(view, factor, point, photo, window) {
  const scale = clamp({ ...view, scale: view.scale * factor }, photo, window).scale;
  const ratio = scale / view.scale;
  return clamp({
    scale,
    x: point.x - (point.x - view.x) * ratio,
    y: point.y - (point.y - view.y) * ratio,
  }, photo, window);
}

/**
 * @param {View} view
 * @param {{x: number, y: number}} point of the window
 * @returns {{x: number, y: number}} of the photograph
 */
export function toPhoto(view, point) {
  return { x: (point.x - view.x) / view.scale, y: (point.y - view.y) / view.scale };
}

/**
 * @param {View} view
 * @param {{x: number, y: number}} point of the photograph
 * @returns {{x: number, y: number}} of the window
 */
export function toWindow(view, point) {
  return { x: point.x * view.scale + view.x, y: point.y * view.scale + view.y };
}

/**
 * The view with a point of the photograph as near to the middle as may be.
 * @param {View} view
 * @param {{x: number, y: number}} point of the photograph
 * @param {Size} photo
 * @param {Size} window
 * @returns {View}
 */
export function centredOn(view, point, photo, window) {
  return clamp({
    scale: view.scale,
    x: window.width / 2 - point.x * view.scale,
    y: window.height / 2 - point.y * view.scale,
  }, photo, window);
}
