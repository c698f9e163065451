/** What an edit will have done, so that it is seen at once; the server has the last word. */

/** @import {ClassEntry, Edit, State} from "viewer/types.js" */

import { UNLABELLED } from "viewer/model.js";

/**
 * The state after an edit, as far as that is known here; the revision stays.
 * @param {State} state
 * @param {Edit} edit
 * @returns {State}
 */
export function foresee(state, edit) {
  switch (edit.kind) {
    case "name":
      return changed(state, edit.class, { name: edit.name });
    case "ignore":
      return changed(state, edit.class, { ignore: edit.ignore });
    case "colour":
      return changed(state, edit.class, { colour: edit.colour });
    case "note":
      return changed(state, edit.class, { note: edit.note });
    case "say":
      return said(state, edit.proposals, edit.class);
    case "retract":
      return retracted(state, edit.proposals);
    default:
      return state;
  }
}

/**
 * Whether the state has what an edit wants already.
 * @param {State} state
 * @param {Edit} edit
 */
export function isDone(state, edit) {
  if (edit.kind === "merge") {
    const left = state.classes.filter((entry) => edit.classes.includes(entry.id));
    return left.length === 1 && left[0].name === edit.name;
  }
  if (edit.kind === "say") {
    const id = classOf(state, edit.class);
    return (
      id !== undefined
      && edit.proposals.every(([image, proposal]) => state.corrections[image]?.[proposal] === id)
    );
  }
  if (edit.kind === "retract")
    return edit.proposals.every(
      ([image, proposal]) => state.corrections[image]?.[proposal] === undefined,
    );
  if (!("class" in edit) || edit.kind === "alike") return false;
  const entry = state.classes.find((each) => each.id === edit.class);
  if (!entry) return false;
  if (edit.kind === "name") return entry.name === edit.name;
  if (edit.kind === "ignore") return entry.ignore === edit.ignore;
  if (edit.kind === "colour") return entry.colour === edit.colour;
  return entry.note === edit.note;
}

/**
 * What somebody else did between two states, in words; empty = not known.
 * @param {State} before
 * @param {State} after
 */
export function whatHappened(before, after) {
  if (after.redo !== null && after.redo !== before.redo) return `taken back: ${after.redo}`;
  return after.undo ?? "";
}

/**
 * The id of a class that is given by id, by name, or as null for none; undefined = it is new.
 * @param {State} state
 * @param {number | string | null} given
 * @returns {number | undefined}
 */
export function classOf(state, given) {
  if (given === null) return UNLABELLED;
  if (typeof given === "number") return given;
  return state.classes.find((entry) => entry.name === given)?.id;
}

/**
 * @param {State} state
 * @param {number} id
 * @param {Partial<ClassEntry>} change
 * @returns {State}
 */
function changed(state, id, change) {
  return {
    ...state,
    classes: state.classes.map((entry) => (entry.id === id ? { ...entry, ...change } : entry)),
  };
}

/**
 * @param {State} state
 * @param {[string, number][]} proposals
 * @param {number | string | null} given
 * @returns {State}
 */
function said(state, proposals, given) {
  const id = classOf(state, given);
  if (id === undefined) return state;
  const corrections = { ...state.corrections };
  for (const [image, proposal] of proposals)
    corrections[image] = { ...corrections[image], [proposal]: id };
  return { ...state, corrections };
}

/**
 * @param {State} state
 * @param {[string, number][]} proposals
 * @returns {State}
 */
function retracted(state, proposals) {
  const corrections = { ...state.corrections };
  for (const [image, proposal] of proposals) {
    corrections[image] = { ...corrections[image] };
    delete corrections[image][String(proposal)];
  }
  return { ...state, corrections };
}
