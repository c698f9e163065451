/** Where pictures and maps come from: blocks of the page (report) or a server (studio). */

/** @import {CertaintyMap, Maps, RunRecord, Source, State} from "viewer/types.js" */
/** @import {StudioApi} from "viewer/studio/api.js" */
import { Blocks } from "viewer/blocks.js";
import { Lru } from "viewer/lru.js";
import { decodeMaps, inflate } from "viewer/maps.js";
import { Queue } from "viewer/queue.js";

/** Pixels of all photographs kept decoded: 4 bytes each. */
const PHOTO_PIXELS = 40e6;
/** Pixels of all maps kept: 2 to 4 bytes each. */
const MAP_PIXELS = 40e6;
const AT_ONCE = 4;

/** @typedef {{low?: boolean}} Urgency */

/**
 * What both sources share: nothing is fetched twice, little at once, and the memory is bounded.
 * @abstract
 */
class CachedSource {
  /**
   * @param {RunRecord} run
   * @param {State} state
   */
  constructor(run, state) {
    this.run = run;
    this.state = state;
    /** @type {StudioApi | null} */
    this.api = null;
    /** @type {Queue} */
    this.queue = new Queue(AT_ONCE);
    /** @type {Lru<ImageBitmap>} */
    this.photos = new Lru(PHOTO_PIXELS, (photo) => photo.width * photo.height);
    /** @type {Lru<Maps>} */
    this.mapsKept = new Lru(MAP_PIXELS, (maps) => maps.width * maps.height);
    /** @type {Lru<{map: CertaintyMap | null}>} */
    this.certainties = new Lru(64);
    /** @type {Map<string, Promise<any>>} what is on its way */
    this.pending = new Map();
  }

  /**
   * Out of the cache, or made once however many ask at the same time. Failures are not kept.
   * @template T
   * @param {Lru<T>} cache
   * @param {string} key
   * @param {() => Promise<T>} make
   * @param {Urgency} [urgency]
   * @param {Promise<unknown>} [ready] waited for without a place in the queue
   * @returns {Promise<T>}
   */
  keep(cache, key, make, urgency, ready = Promise.resolve()) {
    const found = cache.get(key);
    if (found !== undefined) return Promise.resolve(found);
    const under = this.pending.get(key);
    if (under && !urgency) this.queue.hurry(key);
    if (under) return under;
    const promise = ready
      .then(() => this.queue.run(make, { ...urgency, key }))
      .then((value) => {
        cache.set(key, value);
        return value;
      })
      .finally(() => this.pending.delete(key));
    this.pending.set(key, promise);
    return promise;
  }
}

/**
 * Reads the blocks of a report. They may still be on their way when somebody asks: then it waits.
 * @implements {Source}
 */
export class EmbeddedSource extends CachedSource {
  /**
   * @param {Blocks} blocks
   * @param {RunRecord} run
   * @param {State} state
   */
  constructor(blocks, run, state) {
    super(run, state);
    this.blocks = blocks;
  }

  /**
   * As soon as the run and its state are there; the photographs may follow.
   * @param {Document} page
   * @returns {Promise<EmbeddedSource>}
   */
  static async open(page) {
    const blocks = new Blocks(page);
    const [run, state] = await Promise.all([blocks.json("run"), blocks.json("state")]);
    return new EmbeddedSource(blocks, run, state);
  }

  /**
   * @param {number} image
   * @param {number} [_side] there is one size only
   * @param {Urgency} [urgency]
   * @returns {Promise<ImageBitmap>}
   */
  photo(image, _side, urgency) {
    return this.keep(
      this.photos,
      `photo-${image}`,
      async () => {
        const { bytes } = await this.blocks.bytes(`photo-${image}`);
        return createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
      },
      urgency,
      this.blocks.element(`photo-${image}`),
    );
  }

  /**
   * @param {number} image
   * @param {number} [_side]
   * @param {Urgency} [urgency]
   * @returns {Promise<Maps>}
   */
  maps(image, _side, urgency) {
    return this.keep(
      this.mapsKept,
      `maps-${image}`,
      async () => {
        const { bytes, width, height } = await this.blocks.bytes(`maps-${image}`);
        return decodeMaps(await inflate(bytes), width, height, this.run.has_proposals);
      },
      urgency,
      this.blocks.element(`maps-${image}`),
    );
  }

  /**
   * @param {number} image
   * @returns {Promise<CertaintyMap | null>}
   */
  async certainty(image) {
    if (!this.run.has_certainty) return null;
    const id = `certainty-${image}`;
    await this.blocks.element(id);
    const kept = await this.keep(this.certainties, id, async () => {
      const block = await this.blocks.maybe(id);
      if (!block) return { map: null };
      const values = new Uint8Array(await inflate(block.bytes));
      return { map: { width: block.width, height: block.height, values } };
    });
    return kept.map;
  }

  /**
   * Decode what is likely to be looked at next, if it is there already.
   * @param {number[]} images
   */
  prefetch(images) {
    for (const image of images.filter((each) => this.blocks.has(`maps-${each}`))) {
      quietly(this.photo(image, undefined, { low: true }));
      quietly(this.maps(image, undefined, { low: true }));
    }
  }
}

/**
 * Asks the studio's server.
 * @implements {Source}
 */
export class ServerSource extends CachedSource {
  /**
   * @param {RunRecord} run
   * @param {State} state
   * @param {string} [base] what stands before /api
   */
  constructor(run, state, base = "") {
    super(run, state);
    this.base = base;
  }

  /**
   * @param {string} [base]
   * @returns {Promise<ServerSource>}
   */
  static async open(base = "") {
    const answers = await Promise.all([ask(`${base}/api/run`), ask(`${base}/api/state`)]);
    const [run, state] = await Promise.all(answers.map((answer) => answer.json()));
    return new ServerSource(run, state, base);
  }

  /**
   * @param {string} path
   * @param {number} image
   * @param {Record<string, number | undefined>} [options]
   * @returns {string}
   */
  address(path, image, options = {}) {
    const query = new URLSearchParams({ image: this.run.images.name[image] });
    for (const [key, value] of Object.entries(options))
      if (value !== undefined) query.set(key, String(value));
    return `${this.base}/api/${path}?${query}`;
  }

  /**
   * @param {number} image
   * @param {number} side
   * @param {Urgency} [urgency]
   * @returns {Promise<ImageBitmap>}
   */
  photo(image, side, urgency) {
    const address = this.address("photo", image, { side });
    return this.keep(
      this.photos,
      address,
      async () => {
        const answer = await ask(address);
        return createImageBitmap(await answer.blob());
      },
      urgency,
    );
  }

  /**
   * @param {number} image
   * @param {number} [side]
   * @param {Urgency & {candidate?: number}} [options] candidate: a fit that is not in place
   * @returns {Promise<Maps>}
   */
  maps(image, side, { candidate, ...urgency } = {}) {
    const address = this.address("maps", image, { side, candidate });
    return this.keep(
      this.mapsKept,
      address,
      async () => {
        const { bytes, width, height } = await sized(await ask(address));
        return decodeMaps(await inflate(bytes), width, height, this.run.has_proposals);
      },
      urgency.low ? urgency : undefined,
    );
  }

  /**
   * @param {number} image
   * @returns {Promise<CertaintyMap | null>}
   */
  async certainty(image) {
    if (!this.run.has_certainty) return null;
    const address = this.address("certainty", image);
    const kept = await this.keep(this.certainties, address, async () => {
      const answer = await ask(address);
      if (answer.status === 204) return { map: null };
      const { bytes, width, height } = await sized(answer);
      return { map: { width, height, values: new Uint8Array(await inflate(bytes)) } };
    });
    return kept.map;
  }

  /**
   * Fetch what is likely to be looked at next.
   * @param {number[]} images
   * @param {number} [side]
   */
  prefetch(images, side = 320) {
    for (const image of images) {
      quietly(this.photo(image, side, { low: true }));
      quietly(this.maps(image, side, { low: true }));
    }
  }
}

/**
 * Whoever asks again in earnest is told what went wrong.
 * @param {Promise<unknown>} promise
 */
function quietly(promise) {
  promise.catch(() => undefined);
}

/**
 * @param {string} address
 * @returns {Promise<Response>} one that went well
 */
async function ask(address) {
  let answer;
  try {
    answer = await fetch(address, { credentials: "same-origin" });
  } catch {
    throw new Error("The studio does not answer. Is `primaps studio` still running?");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new Error(said.error ?? `The studio answered ${answer.status} to ${address}.`);
}

/**
 * @param {Response} answer
 * @returns {Promise<{bytes: Uint8Array, width: number, height: number}>}
 */
async function sized(answer) {
  const bytes = new Uint8Array(await answer.arrayBuffer());
  const [width, height] = ["X-Width", "X-Height"].map((key) => Number(answer.headers.get(key)));
  return { bytes, width, height };
}
