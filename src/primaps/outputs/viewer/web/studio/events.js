/** News from the server: what another tab or person changed. */

/** @import {Desk} from "viewer/studio/desk.js" */

import { ApiError } from "viewer/studio/api.js";
import { whatHappened } from "viewer/studio/foresee.js";

/**
 * @param {Desk} desk
 * @returns {() => void} ends it
 */
export function followEvents(desk) {
  const events = new EventSource("/api/events");
  let opened = false;
  events.addEventListener("state", (event) => {
    const revision = revisionOf(event.data);
    if (revision === null || revision > desk.queue.known.revision) void refresh(desk);
  });
  events.addEventListener("run", () => {
    desk.app.toast("Other label maps are in place.", {
      action: { title: "Show it", run: () => location.reload() },
    });
  });
  events.addEventListener("problem", (event) => {
    const { error } = JSON.parse(event.data);
    desk.app.toast(String(error), { kind: "error" });
  });
  events.addEventListener("open", () => {
    if (opened) void afterBreak(desk);
    opened = true;
  });
  return () => events.close();
}

/**
 * @param {string} text
 * @returns {number | null}
 */
function revisionOf(text) {
  const found = /"revision"\s*:\s*(\d+)/.exec(text) ?? /^(\d+)$/.exec(text.trim());
  return found ? Number(found[1]) : null;
}

/**
 * The server was away: what waits is sent first.
 * @param {Desk} desk
 */
async function afterBreak(desk) {
  await desk.queue.send();
  await refresh(desk);
}

/**
 * Take up a newer state and say so. While own edits are on their way the server tells more exactly.
 * @param {Desk} desk
 */
async function refresh(desk) {
  if (desk.queue.pending.length) return;
  try {
    const state = await desk.api.state();
    if (desk.queue.pending.length || state.revision <= desk.queue.known.revision) return;
    const happened = whatHappened(desk.queue.known, state);
    desk.queue.refresh(state);
    desk.app.toast(`Changed in another window${happened ? `: ${happened}` : ""}.`);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}
