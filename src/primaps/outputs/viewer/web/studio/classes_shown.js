/** Where classes are shown on the page, and which class something on the page belongs to. */

/** What shows a class: cards, rows of legends. */
const HOLDERS = "[data-class], article[id^=class-]";

/**
 * The class that an element belongs to; null = none.
 * @param {Element | null} element
 * @returns {number | null}
 */
export function classAt(element) {
  const holder = element?.closest(HOLDERS);
  if (!holder) return null;
  const text = holder.getAttribute("data-class") ?? holder.id.slice("class-".length);
  return /^\d+$/.test(text) ? Number(text) : null;
}

/**
 * What shows a class at present, its card first.
 * @param {number} id
 * @returns {Element | null}
 */
export function holderOf(id) {
  const card = document.getElementById(`class-${id}`);
  return (
    card
    ?? document.querySelector(`main .photo-legend [data-class="${id}"]`)
    ?? document.querySelector(`main [data-class="${id}"]`)
  );
}

/**
 * The element with its name.
 * @param {number} id
 * @returns {Element}
 */
export function nameOf(id) {
  const holder = holderOf(id);
  return holder?.querySelector("[data-name], h3, .photo-name") ?? holder ?? document.body;
}

/**
 * Whether an element is the name of a class on a card or in a legend.
 * @param {Element} element
 * @returns {"card" | "legend" | null}
 */
export function isName(element) {
  if (element.closest("article h3, article [data-name]")) return "card";
  return element.closest(".photo-name, [data-name]") ? "legend" : null;
}
