/** The list of keys, shown with "?". */

import { h } from "viewer/dom.js";
import { keyTexts } from "viewer/keys.js";

/** @import {App} from "viewer/app.js" */

/** @param {App} app */
export function showKeys(app) {
  const groups = [...app.keys.groups()].map(([group, keys]) =>
    h(
      "section",
      {},
      h("h3", {}, group),
      h(
        "dl",
        { class: "keys" },
        ...keys.flatMap(({ key, title }) => [
          h("dt", {}, ...keyTexts(key).map((text) => h("kbd", {}, text))),
          h("dd", {}, title),
        ]),
      ),
    ),
  );
  app.dialog({
    title: "Keys",
    content: [h("div", { class: "key-groups" }, ...groups)],
    wide: true,
  });
}
