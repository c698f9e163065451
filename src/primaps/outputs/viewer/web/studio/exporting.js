/** Taking labels away: formats, what each loses, options, and where the result lies. */

/** @import {Desk} from "viewer/studio/desk.js" */
/** @import {Exported, ExportOptions, Format} from "viewer/studio/api.js" */

import { h } from "viewer/dom.js";
import { plural } from "viewer/text.js";
import { ApiError } from "viewer/studio/api.js";
import { work } from "viewer/studio/jobs.js";

/** It takes the model away, not the labels. */
const MODEL = "onnx";
/** Failures that are listed. */
const LISTED = 50;

/** @param {Desk} desk */
export async function exportDialog(desk) {
  let formats;
  try {
    ({ formats } = await desk.api.formats());
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    desk.app.toast(error.message, { kind: "error" });
    return;
  }
  const form = h("form", { class: "export" });
  const options = optionFields();
  const go = h("button", { type: "submit", class: "primary" }, "Export");
  const list = formatList(formats, (format) => {
    options.fit(format);
    go.disabled = !format.installed;
  });
  form.append(list, options.element);
  const dialog = desk.app.dialog({ title: "Export", content: [form], actions: [go], wide: true });
  const send = () => {
    const chosen = form.querySelector("input[name=format]:checked");
    const format = formats.find(
      (each) => chosen instanceof HTMLInputElement && each.name === chosen.value,
    );
    const values = options.read();
    if (!format || !values) return;
    dialog.close();
    void run(desk, format, values);
  };
  go.addEventListener("click", send);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!go.disabled) send();
  });
  form.querySelector("input")?.focus();
}

/**
 * @param {Format[]} formats
 * @param {(format: Format) => void} chosen
 */
function formatList(formats, chosen) {
  const first = formats.find((each) => each.installed) ?? formats[0];
  const rows = formats.map((format) => {
    const input = h("input", {
      type: "radio",
      name: "format",
      value: format.name,
      checked: format === first,
      onchange: () => chosen(format),
    });
    const missing = format.installed
      ? null
      : h(
          "p",
          { class: "needs" },
          "Needs an extra: ",
          h("code", {}, `pip install "primaps[${format.needs}]"`),
        );
    return h(
      "label",
      { class: "format" },
      input,
      h(
        "span",
        {},
        h("strong", {}, format.title),
        " ",
        h("code", {}, format.name),
        h("span", { class: "loses" }, `Loses: ${format.loses}`),
        missing,
      ),
    );
  });
  if (first) queueMicrotask(() => chosen(first));
  return h("fieldset", { class: "formats" }, h("legend", {}, "Format"), ...rows);
}

/**
 * @param {string} text
 * @param {Node} field
 * @param {string} [after] the unit
 */
function row(text, field, after = "") {
  const unit = after ? h("span", { class: "hint" }, after) : null;
  return h("label", { class: "field" }, h("span", {}, text), field, unit);
}

/** Fields for what can be chosen besides. */
function optionFields() {
  const shares = h("input", {
    type: "text",
    placeholder: "one whole",
    "aria-describedby": "split-hint",
    autocomplete: "off",
  });
  const area = h("input", { type: "number", min: 0, step: 1, value: 0 });
  const unknown = h("input", { type: "number", min: 0, max: 1, step: 0.05, placeholder: "none" });
  const outlines = h("input", { type: "checkbox" });
  const outlinesRow = h("label", { class: "check" }, outlines, "Outlines instead of masks");
  const trouble = h("p", { class: "error", role: "alert" });
  const element = h(
    "fieldset",
    { class: "options" },
    h("legend", {}, "Options"),
    row("Split", shares),
    h(
      "p",
      { class: "hint", id: "split-hint" },
      "Shares of train, val and test, as 0.8, 0.1, 0.1. Images that come later move no other one.",
    ),
    row("Leave out regions below", area, "pixels"),
    row("Unlabelled below a certainty of", unknown, "0 to 1"),
    outlinesRow,
    trouble,
  );
  return {
    element,
    /** @param {Format} format */
    fit(format) {
      outlinesRow.hidden = !format.polygons;
      for (const field of [shares, area, unknown]) field.disabled = format.name === MODEL;
    },
    /** @returns {ExportOptions | null} null after a mistake, which is shown */
    read() {
      const split = sharesOf(shares.value);
      trouble.textContent = typeof split === "string" ? split : "";
      if (typeof split === "string") {
        shares.focus();
        return null;
      }
      return {
        split,
        min_area: Number(area.value) || 0,
        unknown_below: unknown.value === "" ? null : Number(unknown.value),
        polygons: outlines.checked && !outlinesRow.hidden,
      };
    },
  };
}

/**
 * @param {string} text
 * @returns {number[] | string} a sentence if it is none
 */
export function sharesOf(text) {
  const parts = text.split(/[\s,;/]+/).filter(Boolean);
  if (!parts.length) return [];
  const shares = parts.map(Number);
  const sum = shares.reduce((total, share) => total + share, 0);
  const fine = shares.length <= 3 && shares.every((share) => share >= 0 && share <= 1);
  if (fine && Math.abs(sum - 1) < 1e-6) return shares;
  return `Expected up to three shares that add up to 1, as 0.8, 0.1, 0.1, but got “${text}”.`;
}

/**
 * @param {Desk} desk
 * @param {Format} format
 * @param {ExportOptions} options
 */
async function run(desk, format, options) {
  const request = { kind: /** @type {const} */ ("export"), format: format.name, options };
  const job = await work(desk, request, `Export: ${format.title}`);
  if (job) showResult(desk, format, job.result);
}

/**
 * @param {Desk} desk
 * @param {Format} format
 * @param {Exported} result
 */
function showResult(desk, format, { folder, files, bytes, failures }) {
  const number = typeof files === "number" ? files : files.length;
  const copy = h("button", { type: "button" }, "Copy the path");
  const path = h("input", {
    type: "text",
    readonly: true,
    value: folder,
    "aria-label": "Folder of the export",
  });
  copy.addEventListener("click", async () => {
    path.select();
    try {
      await navigator.clipboard.writeText(folder);
      copy.textContent = "Copied";
    } catch {
      // Browsers refuse it on plain http elsewhere than this machine: the path is marked then.
      copy.textContent = "Marked: copy it with Ctrl+C";
    }
  });
  const name = folder.split(/[\\/]/).filter(Boolean).pop() ?? format.name;
  const zip = h(
    "a",
    { class: "button primary", href: desk.api.archive(name), download: `${name}.zip` },
    "Download as zip",
  );
  const dialog = desk.app.dialog({
    title: `${format.title} is written`,
    content: [
      h("p", { role: "status" }, `${plural(number, "file")}, ${(bytes / 1e6).toFixed(1)} MB, in`),
      h("div", { class: "path" }, path, copy),
      failureList(failures),
    ],
    actions: [zip],
  });
  zip.focus();
  void dialog.closed;
}

/** @param {Exported["failures"]} failures */
function failureList(failures) {
  if (!failures.length) return null;
  const rows = failures
    .slice(0, LISTED)
    .map((each) => h("li", {}, typeof each === "string" ? each : `${each.path}: ${each.reason}`));
  const list = h("ul", { class: "failures" }, ...rows);
  if (failures.length > LISTED) list.append(h("li", {}, `and ${failures.length - LISTED} more`));
  return h(
    "details",
    { open: true },
    h("summary", {}, `${plural(failures.length, "image")} could not be exported`),
    list,
  );
}
