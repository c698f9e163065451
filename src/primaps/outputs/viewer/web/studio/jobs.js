/** Long work on the server, watched: stage, bar, and a way to stop it. */

/** @import {Desk} from "viewer/studio/desk.js" */
/** @import {Job, JobRequest} from "viewer/studio/api.js" */

import { h, replace } from "viewer/dom.js";
import { ApiError } from "viewer/studio/api.js";

/** Milliseconds between two looks. */
const PAUSE = 400;

/**
 * Start a job and watch it in a dialog. Closing the dialog leaves it running.
 * @param {Desk} desk
 * @param {JobRequest} request
 * @param {string} title
 * @returns {Promise<Job | null>} the job once it is done; null if it failed, was stopped or left
 */
export async function work(desk, request, title) {
  if (!(await desk.queue.settled())) {
    desk.app.toast(`${title}: not begun, for not everything is saved yet.`, { kind: "error" });
    return null;
  }
  const view = progressView();
  const stop = h("button", { type: "button" }, "Stop");
  const dialog = desk.app.dialog({ title, content: [view.element], actions: [stop] });
  let open = true;
  void dialog.closed.then(() => (open = false));
  try {
    let job = await desk.api.start(request);
    stop.addEventListener("click", () => void halt(desk, job, stop));
    while (job.status === "running" && open) {
      view.show(job);
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
      job = await look(desk, job);
    }
    if (job.status === "running") void afterwards(desk, job, title);
    return open ? finished(job, view, dialog, stop) : null;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    view.fail(error.message);
    stop.remove();
    return null;
  }
}

/**
 * Ask how far a job is; while the server is away it stays what it was.
 * @param {Desk} desk
 * @param {Job} job
 * @returns {Promise<Job>}
 */
async function look(desk, job) {
  try {
    return await desk.api.job(job.id);
  } catch (error) {
    if (error instanceof ApiError && error.status === 0) return job;
    throw error;
  }
}

/**
 * @param {Desk} desk
 * @param {Job} job
 * @param {HTMLButtonElement} stop
 */
async function halt(desk, job, stop) {
  stop.disabled = true;
  stop.textContent = "Stopping…";
  try {
    await desk.api.cancel(job.id);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    desk.app.toast(error.message, { kind: "error" });
  }
}

/**
 * @param {Job} job
 * @param {ReturnType<typeof progressView>} view
 * @param {{close: (value?: any) => void}} dialog
 * @param {HTMLElement} stop
 * @returns {Job | null}
 */
function finished(job, view, dialog, stop) {
  stop.remove();
  if (job.status === "failed") view.fail(job.error ?? "It failed.");
  else dialog.close(job.status === "done");
  return job.status === "done" ? job : null;
}

/**
 * The dialog was closed while the work goes on: say when it is done.
 * @param {Desk} desk
 * @param {Job} job
 * @param {string} title
 */
async function afterwards(desk, job, title) {
  desk.app.toast(`${title}: goes on in the background.`);
  while (job.status === "running") {
    await new Promise((resolve) => setTimeout(resolve, 2 * PAUSE));
    try {
      job = await look(desk, job);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      desk.app.toast(error.message, { kind: "error" });
      return;
    }
  }
  if (job.status === "failed") desk.app.toast(`${title}: ${job.error}`, { kind: "error" });
  if (job.status !== "done") return;
  const { candidate, folder } = job.result ?? {};
  if (candidate !== undefined)
    desk.app.toast(`${title}: done.`, {
      action: { title: "Look at it", run: () => desk.app.go("candidate", { number: candidate }) },
    });
  else desk.app.toast(`${title}: done${folder ? `, in ${folder}` : ""}.`);
}

function progressView() {
  const stage = h("p", { role: "status" }, "Starting…");
  const bar = h("progress", { "aria-label": "How far it is" });
  const element = h("div", { class: "job" }, stage, bar);
  return {
    element,
    /** @param {Job} job */
    show(job) {
      const { done, total } = job;
      stage.textContent = `${job.stage || "Working…"}${total ? `: ${done} of ${total}` : ""}`;
      if (total) {
        bar.max = total;
        bar.value = done;
      } else bar.removeAttribute("value");
    },
    /** @param {string} sentence */
    fail(sentence) {
      replace(element, h("p", { role: "alert", class: "error" }, sentence));
    },
  };
}
