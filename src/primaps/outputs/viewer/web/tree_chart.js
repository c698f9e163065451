/** The tree of the clusters: what is most alike is joined first. */

import { h, svg } from "viewer/dom.js";
import { ticks } from "viewer/charts.js";

/** @import {Child} from "viewer/dom.js" */
/** @import {Tree} from "viewer/types.js" */

const ROW = 24;
const WIDTH = 640;
const LABELS = 150;
const TOP = 6;

/**
 * @typedef {object} Leaf
 * @property {string} title
 * @property {string} colour
 */

/**
 * @param {Tree} tree
 * @param {(cluster: number) => Leaf} leaf
 * @returns {HTMLElement}
 */
export function treeChart(tree, leaf) {
  const order = leavesOf(tree);
  const height = TOP + order.length * ROW + 34;
  const most = Math.max(...tree.merges.map(([, , cost]) => Math.sqrt(cost)), 1e-9);
  const x = (/** @type {number} */ value) => LABELS + ((WIDTH - LABELS - 14) * value) / most;
  const words = inWords(tree, leaf);
  return h(
    "figure",
    { class: "chart tree" },
    h(
      "figcaption",
      {},
      h("b", {}, "Tree of the clusters."),
      " The further left two lines meet, the more the two are alike. ",
      words,
    ),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "group", "aria-label": "Tree of the clusters" },
      svg(
        "svg",
        {
          viewBox: `0 0 ${WIDTH} ${height}`,
          role: "img",
          "aria-label": `Tree of the clusters. ${words}`,
        },
        ...ticks([0, most], 5).map((value) => tick(x(value), value, height)),
        ...branches(tree, order, x),
        ...order.flatMap((cluster, row) => label(leaf(cluster), middle(row))),
      ),
    ),
  );
}

/**
 * Clusters from top to bottom, so that no lines cross.
 * @param {Tree} tree
 * @returns {number[]}
 */
export function leavesOf({ num_clusters: count, merges }) {
  const found = [];
  const stack = [count + merges.length - 1];
  while (stack.length) {
    const node = stack.pop() ?? 0;
    if (node < count) found.push(node);
    else stack.push(merges[node - count][1], merges[node - count][0]);
  }
  return found;
}

/** @param {number} row */
function middle(row) {
  return TOP + row * ROW + ROW / 2;
}

/**
 * @param {Tree} tree
 * @param {number[]} order
 * @param {(value: number) => number} x
 */
function branches({ num_clusters: count, merges }, order, x) {
  /** @type {Map<number, {y: number, cost: number}>} */
  const nodes = new Map(order.map((cluster, row) => [cluster, { y: middle(row), cost: 0 }]));
  return merges.map(([first, second, height], made) => {
    const [a, b] = [nodes.get(first), nodes.get(second)];
    if (!a || !b) return null;
    const cost = Math.sqrt(height);
    nodes.set(count + made, { y: (a.y + b.y) / 2, cost });
    return svg("path", {
      d: `M${x(a.cost)} ${a.y}H${x(cost)}V${b.y}H${x(b.cost)}`,
      class: "line accent",
    });
  });
}

/**
 * @param {Leaf} leaf
 * @param {number} y
 * @returns {Child[]}
 */
function label({ title, colour }, y) {
  const short = title.length > 18 ? `${title.slice(0, 17)}…` : title;
  return [
    svg("rect", { x: LABELS - 18, y: y - 6, width: 12, height: 12, rx: 3, fill: colour }),
    svg("text", { x: LABELS - 24, y: y + 4, "text-anchor": "end" }, short, svg("title", {}, title)),
  ];
}

/**
 * @param {number} x
 * @param {number} value
 * @param {number} height
 */
function tick(x, value, height) {
  return svg(
    "g",
    {},
    svg("line", { x1: x, x2: x, y1: TOP, y2: height - 34, class: "grid" }),
    svg(
      "text",
      { x, y: height - 16, "text-anchor": "middle" },
      String(Number(value.toPrecision(3))),
    ),
  );
}

/**
 * @param {Tree} tree
 * @param {(cluster: number) => Leaf} leaf
 */
function inWords({ num_clusters: count, merges }, leaf) {
  const pairs = merges.filter(([a, b]) => a < count && b < count).slice(0, 3);
  if (!pairs.length) return "";
  const texts = pairs.map(([a, b]) => `${leaf(a).title} and ${leaf(b).title}`);
  return `Most alike: ${texts.join("; ")}.`;
}
