/** Curves as SVG, with the same said in words. */

import { h, svg } from "viewer/dom.js";

/** @import {Child} from "viewer/dom.js" */

const WIDTH = 520;
const HEIGHT = 240;
const INSET = { left: 48, right: 14, top: 12, bottom: 38 };

/**
 * @typedef {object} Line
 * @property {string} title
 * @property {string} colour
 * @property {[number, number][]} points
 */

/**
 * @typedef {object} Chart
 * @property {string} title
 * @property {string} words what the curve says, for those who do not see it, and for those who do
 * @property {string} across what runs along the bottom
 * @property {Line[]} lines
 * @property {(value: number) => string} write a value of the upright axis
 * @property {number | null} [marked] a place along the bottom
 * @property {boolean} [fromZero]
 */

/**
 * @param {Chart} chart
 * @returns {HTMLElement}
 */
export function lineChart(chart) {
  const scale = scales(chart);
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, h("b", {}, chart.title), " ", chart.words),
    svg(
      "svg",
      {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        role: "img",
        "aria-label": `${chart.title} ${chart.words}`,
      },
      ...grid(chart, scale),
      ...chart.lines.map((line) => path(line, scale)),
      chart.marked === null || chart.marked === undefined ? null : mark(scale.x(chart.marked)),
    ),
  );
}

/**
 * @typedef {object} Scale
 * @property {[number, number]} across
 * @property {[number, number]} up
 * @property {(value: number) => number} x
 * @property {(value: number) => number} y
 */

/**
 * @param {Chart} chart
 * @returns {Scale}
 */
function scales(chart) {
  const points = chart.lines.flatMap((line) => line.points);
  const across = extent(points.map(([x]) => x));
  const up = extent(points.map(([, y]) => y));
  if (chart.fromZero) up[0] = 0;
  const [width, height] = [WIDTH - INSET.left - INSET.right, HEIGHT - INSET.top - INSET.bottom];
  return {
    across,
    up,
    x: (value) => INSET.left + (width * (value - across[0])) / (across[1] - across[0]),
    y: (value) => INSET.top + height - (height * (value - up[0])) / (up[1] - up[0]),
  };
}

/**
 * @param {number[]} values
 * @returns {[number, number]} of some width
 */
function extent(values) {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) [least, most] = [Math.min(least, value), Math.max(most, value)];
  if (!(most > least)) [least, most] = [(least || 0) - 0.5, (least || 0) + 0.5];
  return [least, most];
}

/**
 * Round numbers between two.
 * @param {[number, number]} range
 * @param {number} count about so many
 * @returns {number[]}
 */
export function ticks([least, most], count) {
  const rough = (most - least) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const found = [];
  for (let index = Math.ceil(least / step); index * step <= most + step * 1e-6; index += 1)
    found.push(index * step);
  return found;
}

/**
 * @param {Chart} chart
 * @param {Scale} scale
 * @returns {Child[]}
 */
function grid(chart, scale) {
  const [left, right, bottom] = [INSET.left, WIDTH - INSET.right, HEIGHT - INSET.bottom];
  const rows = ticks(scale.up, 4).flatMap((value) => [
    svg("line", { x1: left, x2: right, y1: scale.y(value), y2: scale.y(value), class: "grid" }),
    svg("text", { x: left - 8, y: scale.y(value) + 4, "text-anchor": "end" }, chart.write(value)),
  ]);
  const columns = ticks(scale.across, 6).map((value) =>
    svg(
      "text",
      { x: scale.x(value), y: bottom + 18, "text-anchor": "middle" },
      String(Number(value.toPrecision(6))),
    ),
  );
  return [
    ...rows,
    ...columns,
    svg("text", { x: (left + right) / 2, y: HEIGHT - 2, "text-anchor": "middle" }, chart.across),
  ];
}

/**
 * @param {Line} line
 * @param {Scale} scale
 */
function path({ points, colour, title }, scale) {
  const d = points
    .map(([x, y], place) => `${place ? "L" : "M"}${scale.x(x).toFixed(1)} ${scale.y(y).toFixed(1)}`)
    .join("");
  return svg("path", { d, class: "line", stroke: colour }, svg("title", {}, title));
}

/** @param {number} x */
function mark(x) {
  return svg("line", {
    x1: x,
    x2: x,
    y1: INSET.top,
    y2: HEIGHT - INSET.bottom,
    class: "mark-line",
  });
}
