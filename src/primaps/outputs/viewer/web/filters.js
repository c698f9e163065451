/** Which photographs the gallery shows, and in which order. */

/** @import {Model} from "viewer/model.js" */

/**
 * Fractions, where they are figures; null = whatever it is.
 * @typedef {object} Filter
 * @property {number | null} class
 * @property {number} share least share of the class
 * @property {[number | null, number | null]} certainty from, to
 * @property {[number | null, number | null]} coverage
 * @property {boolean} warning
 * @property {"yes" | "no" | ""} corrected
 * @property {string} text part of the name
 * @property {string} sort one of `SORTS`; empty = as in the run
 * @property {boolean} descending
 * @property {number} page from 1
 */

/** @typedef {Record<string, string>} Params as in the address */

/** @type {{sort: string, title: string}[]} */
export const SORTS = [
  { sort: "", title: "as in the run" },
  { sort: "name", title: "name" },
  { sort: "certainty", title: "certainty" },
  { sort: "coverage", title: "covered by regions" },
  { sort: "proposals", title: "number of regions" },
  { sort: "share", title: "share of the class" },
];

/**
 * @param {Params} params
 * @returns {Filter}
 */
export function parseFilter(params) {
  const sort = SORTS.some((each) => each.sort === params.sort) ? params.sort : "";
  return {
    class: figure(params.class),
    share: (figure(params.share) ?? 0) / 100,
    certainty: [part(params.certain_from), part(params.certain_to)],
    coverage: [part(params.covered_from), part(params.covered_to)],
    warning: params.warning === "1",
    corrected: params.corrected === "yes" || params.corrected === "no" ? params.corrected : "",
    text: params.text ?? "",
    sort,
    descending: params.down === "1",
    page: Math.max(1, Math.floor(figure(params.page) ?? 1)),
  };
}

/**
 * @param {string | undefined} text
 * @returns {number | null}
 */
function figure(text) {
  const value = Number(text);
  return text === undefined || text.trim() === "" || !Number.isFinite(value) ? null : value;
}

/**
 * @param {string | undefined} text percent
 * @returns {number | null} fraction
 */
function part(text) {
  const value = figure(text);
  return value === null ? null : value / 100;
}

/**
 * @param {Model} model
 * @param {Filter} filter
 * @returns {number[]} images that pass, in order
 */
export function select(model, filter) {
  const found = model.run.images.name
    .map((_, image) => image)
    .filter((image) => passes(model, filter, image));
  if (!filter.sort) return filter.descending ? found.reverse() : found;
  const sign = filter.descending ? -1 : 1;
  const keys = new Map(found.map((image) => [image, sortKey(model, filter, image)]));
  return found.sort((a, b) => compare(keys.get(a) ?? null, keys.get(b) ?? null, sign) || a - b);
}

/**
 * @param {Model} model
 * @param {Filter} filter
 * @param {number} image
 */
function passes(model, filter, image) {
  const { images } = model.run;
  const name = images.name[image];
  if (filter.text && !name.toLowerCase().includes(filter.text.toLowerCase())) return false;
  if (filter.class !== null) {
    const share = model.shareIn(image, filter.class);
    if (!share || share < filter.share) return false;
  }
  if (filter.warning && !images.warnings[image].length) return false;
  if (filter.corrected && (filter.corrected === "yes") !== isCorrected(model, name)) return false;
  return (
    within(images.certainty[image], filter.certainty) &&
    within(images.coverage[image], filter.coverage)
  );
}

/**
 * @param {Model} model
 * @param {string} name
 */
export function isCorrected(model, name) {
  return Object.keys(model.state.corrections[name] ?? {}).length > 0;
}

/**
 * @param {number | null} value
 * @param {[number | null, number | null]} range
 */
function within(value, [from, to]) {
  if (from === null && to === null) return true;
  return value !== null && value >= (from ?? -Infinity) && value <= (to ?? Infinity);
}

/**
 * @param {Model} model
 * @param {Filter} filter
 * @param {number} image
 * @returns {string | number | null}
 */
function sortKey(model, filter, image) {
  const { images } = model.run;
  switch (filter.sort) {
    case "name":
      return images.name[image];
    case "certainty":
      return images.certainty[image];
    case "coverage":
      return images.coverage[image];
    case "proposals":
      return images.proposals[image];
    default:
      return filter.class === null ? null : model.shareIn(image, filter.class);
  }
}

const NAMES = new Intl.Collator("en", { numeric: true });

/**
 * What is not known comes last, whichever way round.
 * @param {string | number | null} a
 * @param {string | number | null} b
 * @param {number} sign
 */
function compare(a, b, sign) {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  if (typeof a === "string" || typeof b === "string")
    return sign * NAMES.compare(String(a), String(b));
  return sign * (a - b);
}
