/** What proposals of a photograph are, said by a key. */

/** @import {Desk} from "viewer/studio/desk.js" */
/** @import {PhotoView} from "viewer/photo.js" */

import { h, replace } from "viewer/dom.js";
import { UNLABELLED } from "viewer/model.js";
import { plural } from "viewer/text.js";
import { ApiError } from "viewer/studio/api.js";
import { Combobox } from "viewer/studio/combobox.js";
import { popover } from "viewer/studio/popover.js";
import { dot } from "viewer/studio/swatches.js";

/** Classes offered as buttons. */
const OFFERED = 36;

/**
 * Tools beside a photograph.
 * @param {Desk} desk
 * @param {PhotoView} view
 * @returns {Node[]}
 */
export function photoTools(desk, view) {
  if (!desk.model.run.has_proposals) return [];
  view.picking = true;
  const panel = h("section", { class: "correct", "aria-label": "Say what it is" });
  const tools = new Correcting(desk, view, panel);
  tools.draw();
  view.legend.element.append(panel);
  return [];
}

class Correcting {
  /**
   * @param {Desk} desk
   * @param {PhotoView} view
   * @param {HTMLElement} panel
   */
  constructor(desk, view, panel) {
    this.desk = desk;
    this.view = view;
    this.panel = panel;
    this.was = false;
    const key = (/** @type {KeyboardEvent} */ event) => this.here() && this.key(event);
    document.addEventListener("keydown", key, true);
    const stop = desk.model.listen(() => this.here() && this.draw());
    const rekey = () => this.draw();
    desk.classKeys.addEventListener("change", rekey);
    this.end = () => {
      stop();
      desk.classKeys.removeEventListener("change", rekey);
      document.removeEventListener("keydown", key, true);
    };
    view.element.addEventListener("selection", () => this.draw());
  }

  /** Whether it is on the page; once it has left the page it ends. */
  here() {
    const { isConnected } = this.panel;
    if (this.was && !isConnected) this.end();
    this.was ||= isConnected;
    return isConnected;
  }

  /** @returns {[string, number][]} */
  get proposals() {
    const name = this.desk.model.run.images.name[this.view.image];
    return [...this.view.selection].map((proposal) => [name, proposal]);
  }

  draw() {
    const number = this.view.selection.size;
    if (!number) {
      replace(
        this.panel,
        h(
          "p",
          { class: "hint" },
          "Click a region (Shift adds, L draws a lasso), then press a class key to say what it is.",
        ),
      );
      return;
    }
    const said = this.desk.model.said(this.view.image);
    const spoken = [...this.view.selection].filter((proposal) => said.has(proposal));
    const button = (
      /** @type {string} */ text,
      /** @type {string} */ key,
      /** @type {() => void} */ run,
    ) => h("button", { type: "button", onclick: run }, text, key ? h("kbd", {}, key) : null);
    replace(
      this.panel,
      h(
        "p",
        { role: "status", class: "selected" },
        `${plural(number, "proposal")} selected`
          + (spoken.length ? `, ${spoken.length} said before` : ""),
      ),
      h(
        "div",
        { class: "studio-buttons" },
        button("New name…", "N", () => this.newName()),
        button("Of no class", "Del", () => this.say(null)),
        number === 1 ? button("Same as this everywhere…", "", () => void this.everywhere()) : null,
        spoken.length ? button("Take back what was said", "", () => this.retract()) : null,
      ),
      h("div", { class: "chips" }, ...this.chips()),
    );
  }

  chips() {
    const { desk } = this;
    return [...desk.classKeys.byKey].slice(0, OFFERED).map(([key, id]) => {
      const chip = h(
        "button",
        { type: "button", class: "chip", onclick: () => this.say(id) },
        h("kbd", {}, key),
        dot(desk.model.byId.get(id)?.colour ?? "gray"),
        desk.model.title(id),
      );
      return chip;
    });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (
      !this.panel.isConnected
      || !this.view.selection.size
      || event.ctrlKey
      || event.metaKey
      || event.altKey
    )
      return;
    const typing =
      event.target instanceof Element
      && event.target.closest(
        "input:not([type=range], [type=checkbox]), textarea, select, dialog, .popover",
      );
    if (typing) return;
    const id = event.shiftKey ? null : this.desk.classKeys.classOf(event.key.toLowerCase());
    if (event.key === "Delete" || event.key === "Backspace") this.say(null);
    else if (event.key.toLowerCase() === "n" && !event.shiftKey) this.newName();
    else if (id !== null) this.say(id);
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  /** @param {number | string | null} given */
  say(given) {
    const { proposals, desk } = this;
    if (!proposals.length) return;
    const title =
      given === null ? "of no class" : typeof given === "string" ? given : desk.model.title(given);
    this.view.clearSelection();
    void desk.edit(
      { kind: "say", proposals, class: given },
      `${plural(proposals.length, "proposal")} of ${proposals[0][0]}: ${title}`,
    );
    desk.app.say(`${plural(proposals.length, "proposal")}: ${title}`);
  }

  retract() {
    const said = this.desk.model.said(this.view.image);
    const proposals = this.proposals.filter(([, proposal]) => said.has(proposal));
    this.view.clearSelection();
    void this.desk.edit(
      { kind: "retract", proposals },
      `take back what was said of ${plural(proposals.length, "proposal")}`,
    );
  }

  newName() {
    const combo = new Combobox({
      label: "What is it?",
      choices: () => this.desk.names(),
      placeholder: "type a name",
      quiet: true,
    });
    combo.input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing || !combo.value) return;
      event.preventDefault();
      const name = combo.value;
      box.close(true);
      this.say(name);
    });
    const box = popover(this.panel, "What is it?", [
      combo.element,
      h("p", { class: "hint" }, "Enter saves, Esc leaves it."),
    ]);
  }

  /** First how many, then which class. */
  async everywhere() {
    const [[image, proposal]] = this.proposals;
    let alike;
    try {
      alike = (await this.desk.api.alike(image, proposal)).proposals;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.desk.app.toast(error.message, { kind: "error" });
      return;
    }
    const photographs = new Set(alike.map(([name]) => name)).size;
    const said = this.desk.model.said(this.view.image).get(proposal);
    const value = said === undefined || said === UNLABELLED ? "" : this.desk.model.title(said);
    const combo = new Combobox({
      label: "What are they?",
      choices: () => this.desk.names(),
      value,
      placeholder: "type a name",
      quiet: true,
    });
    const yes = h("button", { type: "button", class: "primary" }, "Say it of all");
    const none = h("button", { type: "button" }, "All of no class");
    const dialog = this.desk.app.dialog({
      title: "Same as this everywhere",
      content: [
        h(
          "p",
          { role: "status" },
          `This stands for ${plural(alike.length, "proposal")} in `
            + `${plural(photographs, "photograph")}. What are they?`,
        ),
        combo.element,
      ],
      actions: [none, yes],
    });
    yes.addEventListener("click", () =>
      combo.value ? dialog.close(combo.value) : combo.input.focus(),
    );
    none.addEventListener("click", () => dialog.close(null));
    combo.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.isComposing && combo.value) dialog.close(combo.value);
    });
    combo.input.focus();
    const given = await dialog.closed;
    if (given === undefined) return;
    this.view.clearSelection();
    const made = await this.desk.edit(
      { kind: "alike", image, proposal, class: given },
      `${plural(alike.length, "proposal")}: ${given ?? "of no class"}`,
    );
    if (made)
      this.desk.app.toast(made.made || "Done.", {
        action: { title: "Undo", run: () => void this.desk.back("undo") },
      });
  }
}
