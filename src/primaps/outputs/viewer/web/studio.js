/** Entry of the studio: the viewer, with everything that edits. */

import { App } from "viewer/app.js";
import { ServerSource } from "viewer/source.js";
import { ROUTES } from "viewer/routes.js";
import { h } from "viewer/dom.js";
import { StudioApi } from "viewer/studio/api.js";
import { candidateView } from "viewer/studio/candidate.js";
import {
  cardKeys,
  classCardActions,
  classTools,
  followTexts,
  mergeBar,
} from "viewer/studio/class_actions.js";
import { coarseView } from "viewer/studio/coarse.js";
import { photoTools } from "viewer/studio/correcting.js";
import { Desk } from "viewer/studio/desk.js";
import { followEvents } from "viewer/studio/events.js";
import { exportDialog } from "viewer/studio/exporting.js";
import { namesAreFields } from "viewer/studio/naming.js";
import { refit } from "viewer/studio/refitting.js";
import { backKeys, notice, savedSign, tellRefusals } from "viewer/studio/saved.js";
import { suggestView } from "viewer/studio/suggesting.js";
import { acceptDrops, tryView } from "viewer/studio/trying.js";
import { candidateNotes } from "viewer/studio/waiting.js";

/** @param {HTMLElement} root */
async function start(root) {
  const source = await ServerSource.open();
  const api = new StudioApi();
  source.api = api;
  const app = new App(root, source, ROUTES);
  const desk = new Desk(app, api);
  extend(desk);
  app.start();
  const bar = mergeBar(desk);
  app.header.element.after(notice(desk));
  app.main.after(bar);
  app.keys.bind([...backKeys(desk), ...cardKeys(desk), ...pageKeys(desk)]);
  followTexts(desk);
  namesAreFields(desk);
  acceptDrops(desk);
  followEvents(desk);
  tellRefusals(desk);
  desk.queue.restore();
  leaveCarefully(desk);
}

/** @param {Desk} desk */
function extend(desk) {
  const { app } = desk;
  const { run } = desk.model;
  const learns = run.has_proposals;
  const refitButton = h(
    "button",
    {
      type: "button",
      onclick: () => void refit(desk),
      class: "refit",
      "aria-label": "Refit with my names",
      "data-tip": "Learn from the names that were given",
    },
    "Refit",
  );
  const exportButton = h(
    "button",
    { type: "button", onclick: () => void exportDialog(desk) },
    "Export…",
  );
  app.extend({
    header: () => [...savedSign(desk), ...(learns ? [refitButton] : []), exportButton],
    classCardActions: (entry) => classCardActions(desk, entry),
    classTools: () => [...classTools(desk), ...candidateNotes(desk)],
    photoTools: (view) => photoTools(desk, view),
    routes: {
      suggest: (_, params) => suggestView(desk, params),
      candidate: (_, params) => candidateView(desk, params),
      coarse: () => coarseView(desk),
      try: () => tryView(desk),
    },
    nav: [...(learns ? [{ view: "suggest", title: "Name" }] : []), { view: "try", title: "Try" }],
  });
}

/** @param {Desk} desk */
function pageKeys(desk) {
  const suggest = {
    key: "s",
    title: "name one after another",
    group: "Studio",
    run: () => desk.app.go("suggest", {}),
  };
  return [
    ...(desk.model.run.has_proposals ? [suggest] : []),
    { key: "e", title: "export", group: "Studio", run: () => void exportDialog(desk) },
  ];
}

/**
 * What could not be saved yet is kept by the tab; closing it would lose that.
 * @param {Desk} desk
 */
function leaveCarefully(desk) {
  addEventListener("beforeunload", (event) => {
    const { status, locked } = desk.queue;
    if (status === "conflict" || (status === "waiting" && !locked)) event.preventDefault();
  });
}

const root = document.getElementById("app") ?? document.body;
start(root).catch((error) => {
  root.replaceChildren(
    h(
      "main",
      { class: "start-failed" },
      h("h1", {}, "The studio cannot be shown"),
      h("p", { role: "alert" }, error instanceof Error ? error.message : String(error)),
      h("button", { type: "button", onclick: () => location.reload() }, "Try again"),
    ),
  );
});
