/** Models of what is not in place: a cut, a candidate, a photograph that is only tried. */

/** @import {ClassEntry, Maps, RunRecord, Source, State} from "viewer/types.js" */

import { Model } from "viewer/model.js";

/**
 * The same photographs with other classes, and perhaps other maps; what was said of single
 * proposals does not count.
 * @param {Model} model
 * @param {ClassEntry[]} classes
 * @param {object} [other]
 * @param {[number, number][][]} [other.clusters] pixels by cluster, of every image
 * @param {(image: number, side?: number) => Promise<Maps>} [other.maps]
 * @returns {Model}
 */
export function supposed(model, classes, { clusters, maps } = {}) {
  const { source, run } = model;
  const images = clusters ? { ...run.images, clusters } : run.images;
  return modelOf(
    source,
    { ...run, images },
    { ...model.state, classes, corrections: {}, pixels: {} },
    maps,
  );
}

/**
 * @param {Source} source where photographs are from
 * @param {RunRecord} run
 * @param {State} state
 * @param {(image: number, side?: number) => Promise<Maps>} [maps]
 * @param {(image: number, side: number) => Promise<ImageBitmap>} [photo]
 * @returns {Model}
 */
export function modelOf(source, run, state, maps, photo) {
  return new Model({
    run,
    state,
    api: null,
    photo: photo ?? ((image, side) => source.photo(image, side)),
    maps: maps ?? ((image, side) => source.maps(image, side)),
    certainty: () => Promise.resolve(null),
  });
}
