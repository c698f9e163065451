/** A model that learned from names: asked for, taken back, begun anew. */

/** @import {Desk} from "viewer/studio/desk.js" */

import { work } from "viewer/studio/jobs.js";

/** @param {Desk} desk */
export async function refit(desk) {
  const job = await work(desk, { kind: "refit" }, "Refit with my names");
  if (job) desk.app.go("candidate", { number: job.result.candidate });
}

/**
 * Put a candidate in the place of the model.
 * @param {Desk} desk
 * @param {number} candidate
 */
export async function accept(desk, candidate) {
  const job = await work(desk, { kind: "accept", candidate }, "Accept");
  if (job) renew();
}

/**
 * The former model again.
 * @param {Desk} desk
 */
export async function takeBack(desk) {
  const job = await work(desk, { kind: "back" }, "Take the former model back");
  if (job) renew();
}

/** Another model is in place: everything is read anew. */
function renew() {
  history.replaceState(null, "", "#/classes");
  location.reload();
}
