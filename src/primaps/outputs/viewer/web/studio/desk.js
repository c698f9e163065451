/** What all parts of the studio share: the app, the server, the queue of edits, the names. */

/** @import {App} from "viewer/app.js" */
/** @import {Model} from "viewer/model.js" */
/** @import {Edit, State} from "viewer/types.js" */
/** @import {Made, StudioApi} from "viewer/studio/api.js" */

import { ClassKeys } from "viewer/studio/class_keys.js";
import { Queue } from "viewer/studio/queue.js";

/** Handed to everything that edits. */
export class Desk {
  /**
   * @param {App} app
   * @param {StudioApi} api
   */
  constructor(app, api) {
    this.app = app;
    this.api = api;
    /** @type {Model} */
    this.model = app.model;
    const folder = this.model.run.folder;
    this.queue = new Queue(
      api,
      (state) => this.show(state),
      this.model.state,
      sessionStorage,
      `primaps-pending:${folder}`,
    );
    this.classKeys = new ClassKeys(this.model, localStorage, `primaps-class-keys:${folder}`);
    /** An undo or redo of this window is on its way. */
    this.returning = false;
    /** Classes chosen to be merged. @type {Set<number>} */
    this.chosen = new Set();
    /** Told when `chosen` changes. */
    this.choice = new EventTarget();
  }

  /** @param {State} state */
  show(state) {
    if (state !== this.model.state) this.model.update(state);
    this.choose([...this.chosen].filter((id) => this.model.byId.has(id)));
  }

  /**
   * Change something; what was done is read out.
   * @param {Edit} edit
   * @param {string} words
   * @returns {Promise<Made | null>}
   */
  async edit(edit, words) {
    const made = await this.queue.edit(edit, words);
    if (made?.made) this.app.say(made.made);
    return made;
  }

  /** @param {"undo" | "redo"} which */
  async back(which) {
    if (!this.queue.pending.length && this.model.state[which] === null) return;
    this.returning = true;
    const made = await this.queue.back(which);
    this.returning = false;
    if (made?.made) this.app.toast(made.made);
  }

  /** Names of classes, the most used first; ignored ones last. */
  names() {
    const { state, model } = { state: this.model.state, model: this.model };
    return state.classes
      .filter((entry) => entry.name !== null)
      .sort(
        (a, b) =>
          Number(a.ignore) - Number(b.ignore)
          || model.share(b.id) - model.share(a.id)
          || a.id - b.id,
      )
      .map((entry) => ({ title: entry.name ?? "", colour: entry.colour }));
  }

  /** @param {number[]} ids */
  choose(ids) {
    if (ids.length === this.chosen.size && ids.every((id) => this.chosen.has(id))) return;
    this.chosen = new Set(ids);
    this.choice.dispatchEvent(new Event("change"));
  }

  /** @param {number} id */
  toggle(id) {
    const { chosen } = this;
    this.choose(chosen.has(id) ? [...chosen].filter((each) => each !== id) : [...chosen, id]);
  }
}
