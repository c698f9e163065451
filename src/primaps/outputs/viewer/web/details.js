/** How it was done, folded away: curves, tree, settings, times, remarks, unusable files. */

import { lineChart } from "viewer/charts.js";
import { copyable } from "viewer/controls.js";
import { h, replace } from "viewer/dom.js";
import { seenColour } from "viewer/swatches.js";
import { decimal, duration, percent, plural } from "viewer/text.js";
import { treeChart } from "viewer/tree_chart.js";

/** @import {App} from "viewer/app.js" */

const FAILURES_SHOWN = 200;
const FREE = "var(--track)";

/**
 * @typedef {object} Details
 * @property {HTMLElement} element
 * @property {() => void} update names or colours have changed
 * @property {() => void} openProblems
 */

/**
 * @param {App} app
 * @returns {Details}
 */
export function detailsOf(app) {
  const problems = problemFold(app);
  const charts = chartFold(app);
  const element = h(
    "section",
    { "aria-labelledby": "details-title", class: "details" },
    h("h2", { id: "details-title" }, "Details"),
    problems,
    charts?.element ?? null,
    factsFold(app),
    settingsFold(app),
  );
  return {
    element,
    update: () => charts?.update(),
    openProblems: () => {
      if (!problems) return;
      problems.open = true;
      problems.scrollIntoView({ block: "center" });
      problems.querySelector("summary")?.focus({ preventScroll: true });
    },
  };
}

/**
 * @param {string} title
 * @param {...(Node | null)} content
 */
function fold(title, ...content) {
  return h(
    "details",
    { class: "fold" },
    h("summary", {}, title),
    h("div", { class: "fold-body" }, ...content),
  );
}

/** @param {App} app */
function problemFold(app) {
  const { failures, warnings } = app.model.run;
  if (!failures.length && !warnings.length) return null;
  const shown = failures.slice(0, FAILURES_SHOWN);
  const rows = shown.map(({ path, stage, reason }) =>
    h("tr", {}, h("th", { scope: "row" }, path), h("td", {}, stage), h("td", {}, reason)),
  );
  const more = failures.length - shown.length;
  const table = failures.length
    ? h(
        "div",
        {
          class: "scroll",
          tabindex: "0",
          role: "group",
          "aria-label": "Files that could not be used",
        },
        h(
          "table",
          {},
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              ...["File", "Stage", "Reason"].map((text) => h("th", { scope: "col" }, text)),
            ),
          ),
          h("tbody", {}, ...rows),
        ),
      )
    : null;
  return fold(
    `Remarks (${warnings.length}) and files that could not be used (${failures.length})`,
    warnings.length
      ? h("ul", { class: "warnings" }, ...warnings.map((text) => h("li", {}, text)))
      : null,
    table,
    more > 0
      ? h("p", { class: "soft" }, `${plural(more, "more file")}: see failures.jsonl.`)
      : null,
  );
}

/**
 * @param {App} app
 * @returns {{element: HTMLDetailsElement, update: () => void} | null}
 */
function chartFold(app) {
  const { curves, tree, folder } = app.model.run;
  if (!curves?.losses.length && !tree?.merges.length) return null;
  const body = h("div", { class: "charts" });
  const number =
    tree?.merges.length && folder
      ? h(
          "div",
          {},
          h(
            "p",
            { class: "soft" },
            "Fewer classes out of the same tree, without another fit (10, say):",
          ),
          copyable(`primaps classes ${quoted(folder)} --cut 10`, (said) => app.toast(said)),
        )
      : null;
  const element = fold("How the classes were learned, and how alike they are", body, number);
  // Drawn when somebody looks: a large tree has hundreds of lines.
  const update = () => element.open && replace(body, ...curveCharts(app), ...treeCharts(app));
  element.addEventListener("toggle", update);
  return { element, update };
}

/** @param {string} folder */
function quoted(folder) {
  return /^[\w./~-]+$/.test(folder) ? folder : `'${folder.replaceAll("'", `'"'"'`)}'`;
}

/** @param {App} app */
function curveCharts(app) {
  const { curves } = app.model.run;
  if (!curves?.losses.length) return [];
  const { losses, steps, usage, agreement } = curves;
  const charts = [
    lineChart({
      title: "Loss.",
      across: "step",
      write: decimal,
      words:
        `From ${decimal(losses[0])} to ${decimal(losses[losses.length - 1])} over ` +
        `${plural(losses.length, "step")}; it should level off.`,
      lines: [
        {
          title: "loss",
          colour: "var(--accent)",
          points: losses.map((loss, step) => [step + 1, loss]),
        },
      ],
    }),
  ];
  if (steps.length > 1)
    charts.push(usageChart(app, steps, usage), agreementChart(steps, agreement));
  return charts;
}

/**
 * @param {App} app
 * @param {number[]} steps
 * @param {number[][]} usage
 */
function usageChart(app, steps, usage) {
  const last = usage[usage.length - 1];
  const largest = last.indexOf(Math.max(...last));
  const lines = last.map((_, cluster) => {
    const { title, colour } = leafOf(app, cluster);
    return { title, colour, points: steps.map((step, row) => pair(step, usage[row][cluster])) };
  });
  return lineChart({
    title: "Share of each cluster.",
    across: "step",
    write: percent,
    fromZero: true,
    lines,
    words:
      `At the end the largest, ${lines[largest].title}, has ${percent(last[largest])}. ` +
      "Lines that still move at the end say that more steps may help.",
  });
}

/**
 * @param {number[]} steps
 * @param {number[]} agreement
 */
function agreementChart(steps, agreement) {
  return lineChart({
    title: "Agreement of student and teacher.",
    across: "step",
    write: percent,
    words: `${percent(agreement[agreement.length - 1])} at the end.`,
    lines: [
      {
        title: "agreement",
        colour: "var(--accent)",
        points: steps.map((step, row) => pair(step, agreement[row])),
      },
    ],
  });
}

/** @param {App} app */
function treeCharts(app) {
  const { tree } = app.model.run;
  if (!tree?.merges.length) return [];
  const charts = [];
  if (tree.number?.curve.length)
    charts.push(
      lineChart({
        title: "Number of classes.",
        across: "classes",
        write: decimal,
        marked: tree.number.value,
        words:
          `${tree.number.value} were proposed from the photographs, without labels: ` +
          "the number with the best score.",
        lines: [{ title: "score", colour: "var(--accent)", points: tree.number.curve }],
      }),
    );
  charts.push(treeChart(tree, (cluster) => leafOf(app, cluster)));
  return charts;
}

/**
 * @param {App} app
 * @param {number} cluster
 */
function leafOf(app, cluster) {
  const { model } = app;
  const owner = model.owner[cluster];
  const entry = model.byId.get(owner);
  const title = !entry
    ? `cluster ${cluster}`
    : entry.name
      ? `${entry.name} (${cluster})`
      : model.title(owner);
  return { title, colour: entry ? seenColour(app, owner) : FREE };
}

/** @param {App} app */
function factsFold(app) {
  const { facts, timings, backbone, method, command } = app.model.run;
  const rows = [
    ["made by", `primaps ${command}`],
    ["backbone", backbone.levels ? `${backbone.name}, levels ${backbone.levels}` : backbone.name],
    ["backbone trained with", backbone.training],
    ["method", method],
    ...Object.entries(facts),
    ...Object.entries(timings).map(([stage, seconds]) => [`time for ${stage}`, duration(seconds)]),
  ];
  return fold("Facts and times", list(rows.filter(([, value]) => value)));
}

/** @param {App} app */
function settingsFold(app) {
  const { settings } = app.model.run;
  return Object.keys(settings).length ? fold("Settings and versions", nested(settings)) : null;
}

/**
 * @param {Record<string, any>} values
 * @returns {HTMLElement}
 */
function nested(values) {
  const entries = Object.entries(values);
  const isGroup = (/** @type {any} */ value) =>
    value !== null && typeof value === "object" && !Array.isArray(value);
  const flat = entries.filter(([, value]) => !isGroup(value));
  const groups = entries.filter(([, value]) => isGroup(value));
  return h(
    "div",
    {},
    flat.length ? list(flat.map(([key, value]) => [key, written(value)])) : null,
    ...groups.map(([key, value]) => h("details", {}, h("summary", {}, key), nested(value))),
  );
}

/**
 * @param {unknown} value
 * @returns {string}
 */
function written(value) {
  if (value === null || value === undefined) return "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  return Array.isArray(value) ? value.map(written).join(", ") : String(value);
}

/** @param {string[][]} rows */
function list(rows) {
  return h(
    "dl",
    { class: "facts-list" },
    ...rows.map(([key, value]) => h("div", {}, h("dt", {}, key), h("dd", {}, value))),
  );
}

/**
 * @param {number} x
 * @param {number} y
 * @returns {[number, number]}
 */
function pair(x, y) {
  return [x, y];
}
