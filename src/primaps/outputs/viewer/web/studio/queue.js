/**
 * Edits on their way to the server: one after another, each on the revision that the one before it
 * made. What cannot be sent is kept, also in the tab's storage, and tried again; nothing is lost.
 */

/** @import {Edit, State} from "viewer/types.js" */
/** @import {Made, StudioApi} from "viewer/studio/api.js" */

import { ApiError } from "viewer/studio/api.js";
import { foresee, isDone, whatHappened } from "viewer/studio/foresee.js";

/**
 * @typedef {{edit: Edit} | {back: "undo" | "redo"}} Change
 * @typedef {"saved" | "saving" | "waiting" | "conflict"} Status waiting = the server is not
 *     reached; conflict = somebody else changed something, and a person has to say what now
 * @typedef {{change: Change, words: string, resolve: (made: Made | null) => void}} Pending
 */

/** Milliseconds until another try. */
const RETRIES = [500, 1000, 2000, 4000, 8000];

/** Dispatches "status" whenever what is shown of it changes, and "refused" with the error and
 * what was refused. */
export class Queue extends EventTarget {
  /**
   * @param {StudioApi} api
   * @param {(state: State) => void} tell given every new state
   * @param {State} state
   * @param {Pick<Storage, "getItem" | "setItem">} storage
   * @param {string} key of what is kept there
   */
  constructor(api, tell, state, storage, key) {
    super();
    this.api = api;
    this.tell = tell;
    /** The server's newest state, without what is on its way. */
    this.known = state;
    /** Revision that the first pending change was made on. */
    this.base = state.revision;
    this.storage = storage;
    this.key = key;
    /** @type {Pending[]} */
    this.pending = [];
    /** @type {Status} */
    this.status = "saved";
    /** Why it waits. */
    this.reason = "";
    /** The server wants its new address to be opened; the tab's storage outlives that. */
    this.locked = false;
    /** What somebody else did, where two changed at once. */
    this.theirs = "";
    this.tries = 0;
    this.sending = false;
    this.timer = 0;
  }

  /** Take up what an earlier page could not send. */
  restore() {
    const text = this.storage.getItem(this.key);
    if (!text) return;
    /** @type {{base: number, changes: {change: Change, words: string}[]}} */
    const kept = JSON.parse(text);
    if (!kept.changes.length) return;
    this.base = kept.base;
    this.pending = kept.changes.map((each) => ({ ...each, resolve: () => {} }));
    this.show();
    void this.send();
  }

  /**
   * Change something. The answer comes when it is saved; null if it was refused or given up.
   * @param {Edit} edit
   * @param {string} words what it is, for people: "rename road"
   * @returns {Promise<Made | null>}
   */
  edit(edit, words) {
    return this.add({ edit }, words);
  }

  /**
   * @param {"undo" | "redo"} back
   * @returns {Promise<Made | null>}
   */
  back(back) {
    return this.add({ back }, back);
  }

  /**
   * @param {Change} change
   * @param {string} words
   * @returns {Promise<Made | null>}
   */
  add(change, words) {
    return new Promise((resolve) => {
      this.pending.push({ change, words, resolve });
      this.keep();
      this.show();
      void this.send();
    });
  }

  /**
   * Wait until everything is saved.
   * @returns {Promise<boolean>} false where it cannot be at present
   */
  settled() {
    return new Promise((resolve) => {
      const look = () => {
        const { status } = this;
        if (status === "saving") return;
        this.removeEventListener("status", look);
        resolve(status === "saved");
      };
      this.addEventListener("status", look);
      look();
    });
  }

  /** The state as it will be when everything that is on its way is saved. */
  foreseen() {
    return this.pending.reduce(
      (state, { change }) => ("edit" in change ? foresee(state, change.edit) : state),
      this.known,
    );
  }

  /**
   * A newer state, seen otherwise than as the answer to a change.
   * @param {State} state
   */
  refresh(state) {
    if (state.revision < this.known.revision) return;
    this.known = state;
    if (!this.pending.length) this.base = state.revision;
    this.show();
  }

  /** Send what is pending, in order, until something stops it. */
  async send() {
    if (this.sending || this.status === "conflict") return;
    this.sending = true;
    clearTimeout(this.timer);
    try {
      while (this.pending.length && (await this.sendFirst()));
    } finally {
      this.sending = false;
    }
  }

  /** @returns {Promise<boolean>} whether the next one may be sent */
  async sendFirst() {
    const { change } = this.pending[0];
    if (this.status === "saved") this.mark("saving");
    try {
      const made = await this.ask(change);
      this.done(made);
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return this.stopped(error);
    }
  }

  /**
   * @param {Change} change
   * @returns {Promise<Made>}
   */
  ask(change) {
    if ("edit" in change) return this.api.edit(this.base, change.edit);
    return change.back === "undo" ? this.api.undo(this.base) : this.api.redo(this.base);
  }

  /** @param {Made} made */
  done(made) {
    const first = this.pending.shift();
    this.known = made.state;
    this.base = made.state.revision;
    this.tries = 0;
    this.status = this.pending.length ? "saving" : "saved";
    this.keep();
    this.show();
    first?.resolve(made);
  }

  /**
   * @param {ApiError} error
   * @returns {boolean | Promise<boolean>}
   */
  stopped(error) {
    if (error.passing) return this.wait(error);
    if (error.status === 409) return this.disagree(error);
    const first = this.pending.shift();
    this.status = this.pending.length ? "saving" : "saved";
    this.keep();
    this.show();
    this.dispatchEvent(new CustomEvent("refused", { detail: { error, pending: first } }));
    first?.resolve(null);
    return true;
  }

  /** @param {ApiError} error */
  wait(error) {
    const delay = RETRIES[Math.min(this.tries, RETRIES.length - 1)];
    this.tries += 1;
    this.locked = error.status === 401 || error.status === 403;
    this.reason = this.locked
      ? "The studio was started anew: open the address that it printed in this tab."
      : error.message;
    this.mark("waiting");
    this.timer = setTimeout(() => void this.send(), delay);
    return false;
  }

  /** @param {ApiError} error */
  async disagree(error) {
    let state = error.state;
    try {
      state ??= await this.api.state();
    } catch (failure) {
      if (!(failure instanceof ApiError)) throw failure;
      return this.wait(failure);
    }
    if (state.revision === this.base) return this.wait(error); // the model is being exchanged
    this.theirs = whatHappened(this.known, state);
    this.known = state;
    const { change } = this.pending[0];
    if ("edit" in change && isDone(state, change.edit)) {
      this.done({ state, made: "" });
      return true;
    }
    this.status = "conflict";
    this.show();
    return false;
  }

  /** Do what is pending on top of what somebody else did. */
  goOn() {
    this.base = this.known.revision;
    this.status = this.pending.length ? "saving" : "saved";
    this.show();
    void this.send();
  }

  /** Give up what is pending. */
  giveUp() {
    const given = this.pending;
    this.pending = [];
    clearTimeout(this.timer);
    this.base = this.known.revision;
    this.status = "saved";
    this.keep();
    this.show();
    for (const each of given) each.resolve(null);
  }

  keep() {
    const changes = this.pending.map(({ change, words }) => ({ change, words }));
    try {
      this.storage.setItem(this.key, JSON.stringify({ base: this.base, changes }));
    } catch {
      // The tab's storage is full: what waits is sent all the same, and lasts as long as the page.
    }
  }

  /** @param {Status} status */
  mark(status) {
    this.status = status;
    this.dispatchEvent(new Event("status"));
  }

  show() {
    this.tell(this.foreseen());
    this.dispatchEvent(new Event("status"));
  }
}
