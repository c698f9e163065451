/** The report: the viewer over what is embedded in its page, without anything that changes it. */

import { App } from "viewer/app.js";
import { h, replace } from "viewer/dom.js";
import { ROUTES } from "viewer/routes.js";
import { EmbeddedSource } from "viewer/source.js";

const root = document.getElementById("app");
if (!root) throw new Error('The page has no element with the id "app".');
try {
  new App(root, await EmbeddedSource.open(document), ROUTES).start();
} catch (error) {
  const reason = error instanceof Error ? error.message : String(error);
  replace(
    root,
    h("main", { class: "page" }, h("h1", {}, "This report cannot be shown"), h("p", {}, reason)),
  );
  throw error;
}
