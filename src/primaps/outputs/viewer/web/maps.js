/** Id maps: unpacked, turned into classes, painted by tables. Plain arrays; nothing here draws. */

/** @import {Maps} from "viewer/types.js" */

import { UNLABELLED } from "viewer/model.js";

/** Beyond the picture's border in a `sample`. */
export const OUTSIDE = 65535;

/**
 * @typedef {object} Sample ids at the screen's resolution
 * @property {number} width
 * @property {number} height
 * @property {Uint16Array} ids `OUTSIDE` beyond the picture
 * @property {Map<number, [number, number, number, number]>} boxes left, top, right, bottom by id;
 *     the last two are not in it
 */

/**
 * Undo zlib.
 * @param {Uint8Array | ArrayBuffer} bytes
 * @returns {Promise<ArrayBuffer>}
 */
export function inflate(bytes) {
  const stream = new Blob([/** @type {BlobPart} */ (bytes)]).stream();
  return new Response(stream.pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
}

/**
 * @param {ArrayBuffer} buffer little-endian uint16: labels, then proposals
 * @param {number} width
 * @param {number} height
 * @param {boolean} hasProposals
 * @returns {Maps}
 */
export function decodeMaps(buffer, width, height, hasProposals) {
  const size = width * height;
  const expected = size * (hasProposals ? 4 : 2);
  if (buffer.byteLength !== expected)
    throw new Error(
      `Expected maps of ${width} x ${height} pixels to have ${expected} bytes, but got`
      + ` ${buffer.byteLength}. Write the report again, or restart the studio.`);
  const all = littleEndian() ? new Uint16Array(buffer) : swapped(buffer);
  return {
    width, height,
    labels: all.subarray(0, size),
    proposals: hasProposals ? all.subarray(size) : null,
  };
}

function littleEndian() {
  return new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
}

/** @param {ArrayBuffer} buffer */
function swapped(buffer) {
  const view = new DataView(buffer);
  return Uint16Array.from({ length: buffer.byteLength / 2 }, (_, i) => view.getUint16(2 * i, true));
}

/**
 * Class of every pixel: its cluster's owner, or what a person said of its proposal.
 * @param {Maps} maps
 * @param {Uint16Array} owner class by cluster
 * @param {Map<number, number>} said class by proposal
 * @param {Set<number>} ignored classes that are shown as unlabelled
 * @param {Uint8Array} [out]
 * @returns {Uint8Array}
 */
export function classify(maps, owner, said, ignored, out = new Uint8Array(maps.labels.length)) {
  const { labels, proposals } = maps;
  for (let i = 0; i < labels.length; i += 1) out[i] = owner[labels[i]];
  if (!proposals || said.size === 0) return out;
  const spoken = new Int16Array(65536).fill(-1);
  for (const [proposal, id] of said) spoken[proposal] = ignored.has(id) ? UNLABELLED : id;
  for (let i = 0; i < proposals.length; i += 1) {
    const id = spoken[proposals[i]];
    if (id >= 0) out[i] = id;
  }
  return out;
}

/**
 * Label map in colours, at once.
 * @param {Maps} maps
 * @param {Uint16Array} owner class by cluster
 * @param {Map<number, number>} said class by proposal
 * @param {Uint32Array} table pixel by class
 * @param {Uint32Array} out
 */
export function paint(maps, owner, said, table, out) {
  paintIds(classify(maps, owner, said, new Set()), table, out);
}

/**
 * @param {Uint8Array | Uint16Array} ids
 * @param {Uint32Array} table pixel by id
 * @param {Uint32Array} out
 */
export function paintIds(ids, table, out) {
  for (let i = 0; i < ids.length; i += 1) out[i] = table[ids[i]];
}

/**
 * The values between which nearly all of a map lie: 2 % are below, 2 % above.
 * @param {Uint8Array} values
 * @returns {[number, number]}
 */
export function usualRange(values) {
  const counts = new Uint32Array(256);
  for (const value of values) counts[value] += 1;
  const rank = (/** @type {number} */ part) => {
    let sum = 0;
    return Math.max(0, counts.findIndex((count) => (sum += count) > part * values.length));
  };
  return [rank(0.02), rank(0.98)];
}

/**
 * Ids where the screen's pixels are.
 * @param {Uint8Array | Uint16Array} ids of a map
 * @param {{width: number, height: number}} map
 * @param {{width: number, height: number, scale: number, x: number, y: number}} screen size;
 *     screen pixels per pixel of the map; where the map's corner is
 * @returns {Sample}
 */
export function sample(ids, map, screen) {
  const { width, height, scale } = screen;
  const columns = Int32Array.from({ length: width },
    (_, x) => within(Math.floor((x + 0.5 - screen.x) / scale), map.width));
  const out = new Uint16Array(width * height).fill(OUTSIDE);
  /** @type {Sample["boxes"]} */
  const boxes = new Map();
  for (let y = 0; y < height; y += 1) {
    const row = within(Math.floor((y + 0.5 - screen.y) / scale), map.height);
    if (row < 0) continue;
    let last = OUTSIDE;
    let start = 0;
    for (let x = 0; x <= width; x += 1) {
      const column = x < width ? columns[x] : -1;
      const id = column < 0 ? OUTSIDE : ids[row * map.width + column];
      if (id !== last) {
        if (last !== OUTSIDE) widen(boxes, last, start, x, y);
        last = id;
        start = x;
      }
      if (x < width) out[y * width + x] = id;
    }
  }
  return { width, height, ids: out, boxes };
}

/**
 * @param {number} place
 * @param {number} size
 */
function within(place, size) {
  return place >= 0 && place < size ? place : -1;
}

/**
 * @param {Sample["boxes"]} boxes
 * @param {number} id
 * @param {number} left
 * @param {number} right
 * @param {number} y
 */
function widen(boxes, id, left, right, y) {
  const box = boxes.get(id);
  if (!box) {
    boxes.set(id, [left, y, right, y + 1]);
    return;
  }
  if (left < box[0]) box[0] = left;
  if (right > box[2]) box[2] = right;
  box[3] = y + 1;
}

/**
 * Double contours between regions: a dark line on one side, a light one on the other.
 * @param {Sample} sample
 * @param {number} thick of each line, in pixels
 * @param {{dark: number, light: number}} lines pixels
 * @param {Uint32Array} out clear
 */
export function outlines({ width, height, ids }, thick, lines, out) {
  for (let y = 0; y < height; y += 1) {
    const up = y >= thick ? -thick * width : 0;
    const down = y < height - thick ? thick * width : 0;
    for (let x = 0; x < width; x += 1) {
      const i = y * width + x;
      const id = ids[i];
      const right = ids[x < width - thick ? i + thick : i];
      const left = ids[x >= thick ? i - thick : i];
      const above = ids[i + up];
      const below = ids[i + down];
      if (id === right && id === left && id === above && id === below || id === OUTSIDE) continue;
      if (differs(id, right) || differs(id, below)) out[i] = lines.dark;
      else if (differs(id, left) || differs(id, above)) out[i] = lines.light;
    }
  }
}

/**
 * @param {number} id
 * @param {number} other
 */
function differs(id, other) {
  return id !== other && other !== OUTSIDE;
}

/**
 * One region marked: a contour inside its border (light, with a dark line on its inner side) and,
 * if asked for, a hatch.
 * @param {Sample} sample
 * @param {number} wanted id
 * @param {number} thick of each line, in pixels
 * @param {{dark: number, light: number, hatchDark: number, hatchLight: number}} lines pixels; 0 =
 *     no hatch
 * @param {Uint32Array} out clear, of the size of the box
 * @param {[number, number, number, number]} box that holds the region
 */
export function mark({ width, height, ids }, wanted, thick, lines, out, box) {
  const [left, top, right, bottom] = box;
  const far = 2 * thick;
  let place = 0;
  for (let y = top; y < bottom; y += 1) {
    const [up, down] = [y >= thick ? thick * width : 0, y < height - thick ? thick * width : 0];
    const [higher, lower] = [y >= far ? far * width : 0, y < height - far ? far * width : 0];
    for (let x = left; x < right; x += 1, place += 1) {
      const i = y * width + x;
      if (ids[i] !== wanted) continue;
      const [back, forth] = [x >= thick ? i - thick : i, x < width - thick ? i + thick : i];
      const [before, after] = [x >= far ? i - far : i, x < width - far ? i + far : i];
      if (ids[back] !== wanted || ids[forth] !== wanted
        || ids[i - up] !== wanted || ids[i + down] !== wanted) out[place] = lines.light;
      else if (ids[before] !== wanted || ids[after] !== wanted
        || ids[i - higher] !== wanted || ids[i + lower] !== wanted) out[place] = lines.dark;
      else out[place] = hatch(x, y, thick, lines);
    }
  }
}

/**
 * @param {number} x
 * @param {number} y
 * @param {number} thick
 * @param {{hatchDark: number, hatchLight: number}} lines
 */
function hatch(x, y, thick, lines) {
  const place = (x + y) % (5 * thick);
  if (2 * place < thick) return lines.hatchLight;
  return place < thick ? lines.hatchDark : 0;
}
