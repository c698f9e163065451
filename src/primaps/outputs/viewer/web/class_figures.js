/** Figures of a class out of those of its clusters. */

/** @import {Example, RunRecord} from "viewer/types.js" */
/** @import {Model} from "viewer/model.js" */

/**
 * @typedef {object} Gram
 * @property {Float32Array} values (K, K) row by row
 * @property {number} size K
 * @property {number[]} counts proposals by cluster
 */

/**
 * @param {RunRecord} run
 * @returns {Gram | null} null where nothing is known of proposals' features
 */
export function readGram(run) {
  if (!run.clusters) return null;
  const text = atob(run.clusters.gram);
  const view = new DataView(new ArrayBuffer(text.length));
  for (let place = 0; place < text.length; place += 1) view.setUint8(place, text.charCodeAt(place));
  const values = new Float32Array(text.length / 4);
  for (let place = 0; place < values.length; place += 1)
    values[place] = view.getFloat32(4 * place, true);
  return { values, size: run.clusters.counts.length, counts: run.clusters.counts };
}

/**
 * Inner product of the summed features of two sets of clusters.
 * @param {Gram} gram
 * @param {number[]} first
 * @param {number[]} second
 * @returns {number}
 */
export function product(gram, first, second) {
  let sum = 0;
  for (const row of first)
    for (const column of second) sum += gram.values[row * gram.size + column];
  return sum;
}

/**
 * Mean cosine of the proposals of some clusters to their mean direction.
 * @param {Gram} gram
 * @param {number[]} clusters
 * @returns {number | null} in [0, 1]; null without proposals
 */
export function coherence(gram, clusters) {
  const count = clusters.reduce((sum, cluster) => sum + gram.counts[cluster], 0);
  if (!count) return null;
  return Math.sqrt(Math.max(0, product(gram, clusters, clusters))) / count;
}

/**
 * The class whose summed features point in the most similar direction.
 * @param {Gram} gram
 * @param {Model} model
 * @param {number} id
 * @returns {{id: number, cosine: number} | null}
 */
export function lookAlike(gram, model, id) {
  const own = model.byId.get(id)?.clusters ?? [];
  const length = Math.sqrt(product(gram, own, own));
  let best = null;
  for (const other of model.alive()) {
    const norm = Math.sqrt(product(gram, other.clusters, other.clusters));
    if (other.id === id || !(norm > 0) || !(length > 0)) continue;
    const cosine = product(gram, own, other.clusters) / (length * norm);
    if (!best || cosine > best.cosine) best = { id: other.id, cosine };
  }
  return best;
}

/**
 * Mean certainty of a class.
 * @param {RunRecord} run
 * @param {number[]} clusters
 * @returns {number | null}
 */
export function meanCertainty(run, clusters) {
  const known = run.cluster_certainty;
  if (!known) return null;
  let [places, sum] = [0, 0];
  for (const [count, mean] of clusters.map((cluster) => known[cluster] ?? [0, 0])) {
    places += count;
    sum += count * mean;
  }
  return places ? sum / places : null;
}

/** The lists of examples: field, title, whether the highest scores come first. */
export const EXAMPLE_KINDS = /** @type {const} */ ([
  { kind: "best", title: "most typical", descending: true },
  { kind: "worst", title: "least typical", descending: false },
  { kind: "uncertain", title: "least certain", descending: false },
]);

/** @typedef {(typeof EXAMPLE_KINDS)[number]} ExampleKind */

/**
 * Examples of a class, merged over its clusters. One that a person gave to another class is none.
 * @param {Model} model
 * @param {number} id
 * @param {ExampleKind} list
 * @param {number} count
 * @returns {Example[]}
 */
export function examplesOf(model, id, { kind, descending }, count) {
  const clusters = model.byId.get(id)?.clusters ?? [];
  const sign = descending ? -1 : 1;
  return clusters
    .flatMap((cluster) => model.run.examples[cluster]?.[kind] ?? [])
    .filter(({ image, proposal }) => isStill(model, id, image, proposal))
    .sort((a, b) => sign * (a.score - b.score))
    .slice(0, count);
}

/**
 * @param {Model} model
 * @param {number} id
 * @param {number} image
 * @param {number | null} proposal
 */
function isStill(model, id, image, proposal) {
  if (proposal === null || !model.state.corrections[model.run.images.name[image]]) return true;
  return (model.said(image).get(proposal) ?? id) === id;
}
