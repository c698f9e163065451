/**
 * One proposal after another, named with the keyboard alone. Nothing is waited for: the next card
 * is there already, and names are saved behind it, in order.
 */

/** @import {Desk} from "viewer/studio/desk.js" */
/** @import {Round, SuggestionCard} from "viewer/studio/api.js" */

import { h, replace } from "viewer/dom.js";
import { UNLABELLED } from "viewer/model.js";
import { ApiError } from "viewer/studio/api.js";
import { Combobox } from "viewer/studio/combobox.js";
import { refit } from "viewer/studio/refitting.js";
import { dot } from "viewer/studio/swatches.js";

/** Cards fetched before they are reached. */
const AHEAD = 4;
/** Milliseconds until a picture that did not come is asked for again. */
const PAUSE = 1500;
/** Classes that have a digit while the field is empty. */
const RECENT = 9;

const QUESTION = "What is the part without stripes?";

/** undefined = not answered, null = of no class */
/** @typedef {string | null | undefined} Answer */

/** Where somebody is in a round. */
class Walk {
  /** @param {Round} round */
  constructor(round) {
    this.cards = round.cards;
    this.round = round.round;
    this.at = 0;
    /** @type {Answer[]} */
    this.answers = round.cards.map(() => undefined);
    /** @type {number[]} seconds that cards took */
    this.seconds = [];
    this.since = performance.now();
  }

  /** @param {number} place */
  go(place) {
    this.at = place;
    this.since = performance.now();
  }

  /** Time for what is left, in minutes, by the median of what was done; null = not known yet. */
  get minutes() {
    if (this.seconds.length < 3) return null;
    const sorted = [...this.seconds].sort((a, b) => a - b);
    return Math.ceil((sorted[Math.floor(sorted.length / 2)] * (this.cards.length - this.at)) / 60);
  }
}

/**
 * @param {Desk} desk
 * @param {Record<string, any>} params
 * @returns {{element: HTMLElement, title: string, destroy: () => void}}
 */
export function suggestView(desk, params) {
  const element = h("section", { class: "suggest", "aria-label": "Name one after another" });
  const view = new Suggesting(desk, element);
  void view.load(Number(params.round ?? 0));
  return { element, title: "Name one after another", destroy: () => view.destroy() };
}

class Suggesting {
  /**
   * @param {Desk} desk
   * @param {HTMLElement} element
   */
  constructor(desk, element) {
    this.desk = desk;
    this.element = element;
    this.walk = new Walk({ cards: [], round: 0 });
    /** @type {string[]} names given last, the newest first */
    this.recent = [];
    /** @type {Map<string, HTMLImageElement>} */
    this.pictures = new Map();
    this.alive = true;
    this.combo = new Combobox({
      label: QUESTION,
      choices: () => desk.names(),
      quiet: true,
    });
    this.combo.input.addEventListener("keydown", (event) => this.key(event), true);
    this.progress = h("p", { class: "progress", role: "status" });
    this.bar = h("progress", { max: 1, value: 0, "aria-label": "Cards done" });
    this.picture = h("div", { class: "big" });
    this.whole = h("div", { class: "whole" });
    this.why = h("p", { class: "why" });
    this.hint = h("p", { class: "hint", role: "status" });
    this.digits = h("div", { class: "recent", role: "group", "aria-label": "Names by digit" });
    this.build();
    this.stop = desk.model.listen(() => this.refresh());
  }

  destroy() {
    this.alive = false;
    this.stop();
  }

  build() {
    const side = h(
      "div",
      { class: "suggest-side" },
      h("p", { class: "ask", "aria-hidden": "true" }, QUESTION),
      this.combo.element,
      this.hint,
      this.buttons(),
      this.digits,
      this.whole,
      this.why,
    );
    replace(
      this.element,
      h("header", {}, this.progress, this.bar),
      h("div", { class: "suggest-body" }, this.picture, side),
    );
  }

  buttons() {
    const button = (
      /** @type {string} */ text,
      /** @type {string} */ key,
      /** @type {() => void} */ run,
      kind = "",
    ) =>
      h(
        "button",
        {
          type: "button",
          class: kind,
          onclick: () => {
            run();
            this.combo.input.focus();
          },
        },
        text,
        h("kbd", {}, key),
      );
    return h(
      "div",
      { class: "suggest-buttons" },
      button("Accept", "Enter", () => this.accept(), "primary"),
      button("Skip", "Esc", () => this.skip()),
      button("No class", "Del", () => this.answer(null)),
      button("Back", "←", () => this.previous()),
    );
  }

  /** @param {number} round */
  async load(round) {
    this.clear(round);
    try {
      await this.desk.queue.settled(); // what is asked next depends on what was said
      const found = await this.desk.api.suggestions(round);
      if (!this.alive) return;
      this.walk = new Walk(found);
      this.walk.answers = found.cards.map((card) => this.saidBefore(card));
      const open = this.walk.answers.indexOf(undefined);
      this.walk.go(Math.max(open, 0));
      if (found.cards.length && open >= 0) this.show();
      else this.end();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.trouble(error.message, round);
    }
  }

  /**
   * Nothing to answer while cards are chosen; what is typed meanwhile is no key of the page.
   * @param {number} round
   */
  clear(round) {
    this.walk = new Walk({ cards: [], round });
    this.progress.textContent = "Choosing what to ask…";
    this.why.textContent = this.hint.textContent = "";
    replace(this.picture);
    replace(this.whole);
    this.combo.value = "";
    this.combo.input.focus();
  }

  /**
   * @param {SuggestionCard} card
   * @returns {Answer}
   */
  saidBefore(card) {
    const id = this.desk.model.state.corrections[card.image]?.[card.proposal];
    if (id === undefined) return undefined;
    return id === UNLABELLED ? null : this.desk.model.title(id);
  }

  /**
   * The state is another one. Answers that were taken back, or given in another window, are so here
   * too; after undo and redo the card that they were about is shown again.
   */
  refresh() {
    const { walk, desk } = this;
    if (!desk.queue.pending.length) {
      const known = new Set(desk.names().map((each) => each.title));
      this.recent = this.recent.filter((title) => known.has(title));
      const before = walk.answers;
      walk.answers = walk.cards.map((card) => this.saidBefore(card));
      const changed = walk.answers.findIndex((answer, place) => answer !== before[place]);
      if (changed >= 0 && desk.returning && this.untouched()) return this.revisit(changed);
    }
    this.drawProgress();
    this.drawRecent();
  }

  drawProgress() {
    const { walk } = this;
    if (!walk.cards.length) return;
    const minutes = walk.minutes;
    this.progress.textContent =
      `${walk.at + 1} of ${walk.cards.length}` + (minutes ? ` · about ${minutes} min left` : "");
    this.bar.max = walk.cards.length;
    this.bar.value = walk.answers.filter((each) => each !== undefined).length;
  }

  /**
   * @param {string} sentence
   * @param {number} round
   */
  trouble(sentence, round) {
    const again = h(
      "button",
      {
        type: "button",
        onclick: () => {
          this.build();
          void this.load(round);
        },
      },
      "Try again",
    );
    replace(this.element, h("p", { class: "error", role: "alert" }, sentence), again);
    again.focus();
  }

  show() {
    const { walk, combo } = this;
    const card = walk.cards[walk.at];
    const opinion = this.opinion(card);
    const before = walk.answers[walk.at];
    this.drawProgress();
    replace(
      this.picture,
      this.pictureOf(
        this.desk.api.card(card.image, card.proposal),
        `Proposal ${card.proposal} of ${card.image}`,
      ),
    );
    replace(
      this.whole,
      this.pictureOf(this.desk.api.photo(card.image, 320), `The whole photograph ${card.image}`),
      h("p", { class: "file" }, card.image),
    );
    this.why.textContent =
      card.why === "uncertain"
        ? "The model is uncertain of this one."
        : `Stands for a group with ${(100 * card.share).toFixed(1)} % of what was found.`;
    combo.value = typeof before === "string" ? before : "";
    combo.input.placeholder =
      before === null ? "of no class" : opinion ? `${opinion}?` : "type a name";
    this.hint.textContent = opinion && before === undefined ? `Enter takes “${opinion}”.` : "";
    this.drawRecent();
    combo.input.focus();
    combo.input.select();
    this.ahead();
  }

  /**
   * What the model thinks, if that has a name.
   * @param {SuggestionCard} card
   */
  opinion(card) {
    return card.class === null ? null : (this.desk.model.byId.get(card.class)?.name ?? null);
  }

  /**
   * @param {string} address
   * @param {string} text
   */
  pictureOf(address, text) {
    const kept = this.pictures.get(address);
    if (kept) {
      kept.alt = text; // it was fetched ahead, without words
      return kept;
    }
    const picture = h("img", {
      src: address,
      alt: text,
      onerror: () => this.fetchAgain(picture, address),
    });
    this.pictures.set(address, picture);
    return picture;
  }

  /**
   * The studio was away: a picture that is shown is asked for again and again.
   * @param {HTMLImageElement} picture
   * @param {string} address
   */
  fetchAgain(picture, address) {
    this.pictures.delete(address);
    setTimeout(() => {
      if (this.alive && picture.isConnected)
        picture.replaceWith(this.pictureOf(address, picture.alt));
    }, PAUSE);
  }

  /** Fetch and decode the next pictures; let those long past go. */
  ahead() {
    const { walk, desk } = this;
    for (const card of walk.cards.slice(walk.at + 1, walk.at + 1 + AHEAD))
      for (const address of [
        desk.api.card(card.image, card.proposal),
        desk.api.photo(card.image, 320),
      ])
        this.pictureOf(address, "")
          .decode()
          .catch(() => undefined);
    while (this.pictures.size > 40) {
      const oldest = this.pictures.keys().next().value;
      if (oldest !== undefined) this.pictures.delete(oldest);
    }
  }

  /** Names by digit: those given last, then those most used. */
  shortcuts() {
    const known = this.desk.names().map((each) => each.title);
    return [...new Set([...this.recent, ...known])].slice(0, RECENT);
  }

  drawRecent() {
    const colours = new Map(this.desk.names().map((each) => [each.title, each.colour]));
    replace(
      this.digits,
      ...this.shortcuts().map((title, index) =>
        h(
          "button",
          { type: "button", class: "chip", onclick: () => this.answer(title) },
          h("kbd", {}, index + 1),
          dot(colours.get(title) ?? "gray"),
          title,
        ),
      ),
    );
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.isComposing || event.altKey) return;
    if (event.ctrlKey || event.metaKey) return this.backKey(event);
    const empty = this.combo.input.value === "";
    const whole = this.untouched();
    const digit =
      empty && /^[1-9]$/.test(event.key) ? this.shortcuts()[Number(event.key) - 1] : undefined;
    if (event.key === "Enter") event.shiftKey ? this.previous() : this.accept();
    else if (event.key === "Escape") this.skip();
    else if (event.key === "Delete" && whole) this.answer(null);
    else if (event.key === "ArrowLeft" && whole) this.previous();
    else if (event.key === "ArrowRight" && whole) this.skip();
    else if (digit !== undefined) this.answer(digit);
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  /**
   * Undo and redo while the field has the focus, as it always has here; what is being typed is
   * undone by the browser.
   * @param {KeyboardEvent} event
   */
  backKey(event) {
    const key = event.key.toLowerCase();
    if ((key !== "z" && key !== "y") || !this.untouched()) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    void this.desk.back(key === "y" || event.shiftKey ? "redo" : "undo");
  }

  /** Whether the field is empty or shows an earlier answer that nobody touched yet. */
  untouched() {
    const { input } = this.combo;
    return input.selectionStart === 0 && input.selectionEnd === input.value.length;
  }

  accept() {
    const card = this.walk.cards[this.walk.at];
    if (!card) return;
    const name = this.combo.value || this.opinion(card);
    if (name) this.answer(name);
    else if (this.walk.answers[this.walk.at] === null) this.next();
    else this.hint.textContent = "Type what it is; Esc skips it, Del says that it is of no class.";
  }

  /** @param {string | null} name */
  answer(name) {
    const { walk, desk } = this;
    const card = walk.cards[walk.at];
    if (!card) return;
    walk.seconds.push((performance.now() - walk.since) / 1000);
    if (walk.answers[walk.at] !== name) {
      walk.answers[walk.at] = name;
      const words =
        name === null
          ? `${card.image}, proposal ${card.proposal}: of no class`
          : `${card.image}, proposal ${card.proposal}: ${name}`;
      void desk.queue.edit(
        { kind: "say", proposals: [[card.image, card.proposal]], class: name },
        words,
      );
    }
    if (name !== null)
      this.recent = [name, ...this.recent.filter((each) => each !== name)].slice(0, RECENT);
    this.next();
  }

  skip() {
    this.next();
  }

  next() {
    if (!this.walk.cards.length) return;
    if (this.walk.at + 1 >= this.walk.cards.length) return this.end();
    this.walk.go(this.walk.at + 1);
    this.show();
  }

  previous() {
    if (!this.walk.at) return;
    this.walk.go(this.walk.at - 1);
    this.show();
  }

  /** @param {number} place */
  revisit(place) {
    this.build();
    this.walk.go(place);
    this.show();
  }

  end() {
    const some = this.walk.cards.length > 0;
    replace(
      this.element,
      h(
        "div",
        { class: "round-end" },
        h("h2", {}, some ? "This round is done" : "All asked"),
        h("p", { role: "status" }, this.summary()),
        h(
          "p",
          {},
          "A refit learns from all names that were given. You see it before and after, and take it"
            + " or leave it.",
        ),
        h("div", { class: "suggest-buttons" }, ...this.endButtons(some)),
      ),
    );
    this.element.querySelector("button")?.focus();
  }

  summary() {
    const { answers } = this.walk;
    if (!answers.length) return "Nothing more to ask: everything that matters has a name.";
    const named = answers.filter((each) => typeof each === "string").length;
    const none = answers.filter((each) => each === null).length;
    const left = answers.length - named - none;
    const parts = [`${named} named`, none && `${none} of no class`, left && `${left} skipped`];
    return `${parts.filter(Boolean).join(", ")}.`;
  }

  /** @param {boolean} some there were cards in this round */
  endButtons(some) {
    const { walk, desk } = this;
    const button = (
      /** @type {string} */ text,
      /** @type {() => void} */ run,
      /** @type {string} */ kind,
    ) => h("button", { type: "button", class: kind, onclick: run }, text);
    const goOn = () => {
      this.build();
      void this.load(walk.round + 1);
    };
    const skipped = walk.answers.indexOf(undefined);
    const last = walk.cards.length - 1;
    return [
      button("Refit with my names", () => void refit(desk), "primary"),
      some ? button("Go on: the next ones", goOn, "") : null,
      skipped >= 0 ? button("Those skipped", () => this.revisit(skipped), "") : null,
      some ? button("Back", () => this.revisit(last), "quiet") : null,
      h("a", { class: "button", href: desk.app.href("classes", {}) }, "To the classes"),
    ];
  }
}
