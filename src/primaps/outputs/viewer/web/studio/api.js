/** The studio's server, as functions. */

/** @import {CandidateRecord, ClassEntry, Edit, RunRecord, State} from "viewer/types.js" */

/**
 * @typedef {{state: State, made: string}} Made
 * @typedef {object} SuggestionCard
 * @property {string} image
 * @property {number} proposal
 * @property {number} share
 * @property {"group" | "uncertain"} why
 * @property {number | null} class what the model thinks
 * @property {number | null} said class id that a person gave; 255 = of no class
 *
 * @typedef {{cards: SuggestionCard[], round: number}} Round
 *
 * @typedef {object} Format
 * @property {string} name
 * @property {string} title
 * @property {string} loses
 * @property {string | null} needs
 * @property {boolean} installed
 * @property {boolean} [polygons] outlines can be had instead of masks
 *
 * @typedef {object} Job
 * @property {number | string} id
 * @property {string} kind
 * @property {"running" | "done" | "failed" | "cancelled"} status
 * @property {string | null} stage
 * @property {number} done
 * @property {number | null} total
 * @property {string | null} error
 * @property {any} result
 *
 * @typedef {object} ExportOptions
 * @property {number[]} split
 * @property {number} min_area
 * @property {number | null} unknown_below
 * @property {boolean} polygons
 *
 * @typedef {{kind: "refit"} | {kind: "split", class: number, parts: number}
 *   | {kind: "export", format: string, options: ExportOptions}
 *   | {kind: "accept", candidate: number} | {kind: "back"}} JobRequest
 *
 * @typedef {object} Exported
 * @property {string} folder
 * @property {string[] | number} files
 * @property {number} bytes
 * @property {({path: string, stage?: string, reason: string} | string)[]} failures
 *
 * @typedef {object} Candidate
 * @property {CandidateRecord} candidate
 * @property {ClassEntry[]} classes
 * @property {[number, number][][]} images pixels by class, of every image
 *
 * @typedef {{name: string, training: string, installed: boolean, current: boolean}} Backbone
 * @typedef {{id: string, width: number, height: number, proposals: number, seconds: number}} Tried
 */

/** Patience for one answer, in milliseconds. */
const PATIENCE = 120_000;

/** What went wrong, in the words of the server. `status` 0 = it was not reached. */
export class ApiError extends Error {
  /**
   * @param {string} sentence
   * @param {number} status
   * @param {State | null} state
   */
  constructor(sentence, status, state = null) {
    super(sentence);
    this.status = status;
    this.state = state;
  }

  /** Whether trying again later may help: nothing was refused. */
  get passing() {
    return this.status === 0 || this.status >= 500 || this.status === 401 || this.status === 403;
  }
}

/**
 * @param {Response} response
 * @returns {Promise<ApiError>}
 */
async function refusal(response) {
  const found = await response.json().catch(() => null);
  const sentence =
    typeof found?.error === "string" ? found.error : `The studio answered ${response.status}.`;
  return new ApiError(sentence, response.status, found?.state ?? null);
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
async function ask(path, options = {}) {
  const signal = options.signal ?? AbortSignal.timeout(PATIENCE);
  let response;
  try {
    response = await fetch(path, { ...options, signal, credentials: "same-origin" });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError("The studio does not answer. Is it still running?", 0);
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

/**
 * @param {string} path
 * @returns {Promise<any>}
 */
async function get(path) {
  return (await ask(path)).json();
}

/**
 * @param {string} path
 * @param {unknown} body
 * @returns {Promise<any>}
 */
async function post(path, body) {
  const headers = { "Content-Type": "application/json", "X-Primaps": "1" };
  return (await ask(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

/** @param {Record<string, string | number>} values */
function query(values) {
  return new URLSearchParams(Object.entries(values).map(([key, value]) => [key, String(value)]));
}

/** One function for each thing that the server does. */
export class StudioApi {
  /** @returns {Promise<RunRecord>} */
  run() {
    return get("/api/run");
  }

  /** @returns {Promise<State>} */
  state() {
    return get("/api/state");
  }

  /**
   * @param {number} revision
   * @param {Edit} edit
   * @returns {Promise<Made>}
   */
  edit(revision, edit) {
    return post("/api/edit", { revision, edit });
  }

  /**
   * @param {number} revision
   * @returns {Promise<Made>}
   */
  undo(revision) {
    return post("/api/undo", { revision });
  }

  /**
   * @param {number} revision
   * @returns {Promise<Made>}
   */
  redo(revision) {
    return post("/api/redo", { revision });
  }

  /**
   * @param {number} round
   * @returns {Promise<Round>}
   */
  suggestions(round) {
    return get(`/api/suggestions?round=${round}`);
  }

  /**
   * @param {string} image
   * @param {number} proposal
   * @returns {Promise<{proposals: [string, number][]}>}
   */
  alike(image, proposal) {
    return get(`/api/alike?${query({ image, proposal })}`);
  }

  /** @returns {Promise<{formats: Format[]}>} */
  formats() {
    return get("/api/formats");
  }

  /** @returns {Promise<{backbones: Backbone[]}>} */
  backbones() {
    return get("/api/backbones");
  }

  /**
   * @param {JobRequest} request
   * @returns {Promise<Job>}
   */
  start(request) {
    return post("/api/jobs", request);
  }

  /**
   * @param {Job["id"]} id
   * @returns {Promise<Job>}
   */
  job(id) {
    return get(`/api/jobs/${encodeURIComponent(id)}`);
  }

  /** @param {Job["id"]} id */
  async cancel(id) {
    await ask(`/api/jobs/${encodeURIComponent(id)}`, {
      method: "DELETE",
      headers: { "X-Primaps": "1" },
    });
  }

  /**
   * @param {number} number
   * @returns {Promise<Candidate>}
   */
  candidate(number) {
    return get(`/api/candidate?number=${number}`);
  }

  /**
   * @param {number} candidate
   * @returns {Promise<{state: State}>}
   */
  reject(candidate) {
    return post("/api/reject", { candidate });
  }

  /**
   * A photograph that is no part of the run.
   * @param {File} file
   * @param {{threshold: number | null, backbone: string}} options
   * @param {AbortSignal} signal
   * @returns {Promise<Tried>}
   */
  async try(file, options, signal) {
    const values = query({ name: file.name, backbone: options.backbone });
    if (options.threshold !== null) values.set("threshold", String(options.threshold));
    const headers = { "Content-Type": "application/octet-stream", "X-Primaps": "1" };
    return (
      await ask(`/api/try?${values}`, { method: "POST", headers, body: file, signal })
    ).json();
  }

  /** @param {string} id */
  triedPhoto(id) {
    return `/api/try/${encodeURIComponent(id)}/photo`;
  }

  /**
   * Compressed id maps of a photograph that was tried.
   * @param {string} id
   */
  async triedMaps(id) {
    return body(await ask(`/api/try/${encodeURIComponent(id)}/maps`));
  }

  /**
   * Compressed id maps of an image, of the model in place or a candidate.
   * @param {string} image
   * @param {number} side
   * @param {number | null} candidate
   */
  async maps(image, side, candidate = null) {
    const values = query({ image, side });
    if (candidate !== null) values.set("candidate", String(candidate));
    return body(await ask(`/api/maps?${values}`));
  }

  /**
   * @param {string} image
   * @param {number} side
   */
  photo(image, side) {
    return `/api/photo?${query({ image, side })}`;
  }

  /**
   * @param {string} image
   * @param {number} proposal
   */
  card(image, proposal) {
    return `/api/card?${query({ image, proposal })}`;
  }

  /** @param {string} format */
  archive(format) {
    return `/api/export?${query({ name: format })}`;
  }
}

/**
 * @param {Response} response
 * @returns {Promise<{width: number, height: number, bytes: Uint8Array}>}
 */
async function body(response) {
  return {
    width: Number(response.headers.get("X-Width")),
    height: Number(response.headers.get("X-Height")),
    bytes: new Uint8Array(await response.arrayBuffer()),
  };
}
