/** Figures in words. */

/**
 * @param {number} fraction
 * @returns {string} "12 %", "3.4 %", "< 0.1 %"
 */
export function percent(fraction) {
  if (fraction > 0 && fraction < 0.001) return "< 0.1\u202f%";
  return `${(100 * fraction).toFixed(fraction < 0.0995 && fraction > 0 ? 1 : 0)}\u202f%`;
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 * @returns {string} "1 photograph", "3 photographs"
 */
export function plural(count, one, many = `${one}s`) {
  return `${whole(count)} ${count === 1 ? one : many}`;
}

/** @param {number} count */
export function whole(count) {
  return count.toLocaleString("en");
}

/**
 * @param {number | null | undefined} value
 * @returns {string} a figure between -1 and 1 with two decimals
 */
export function decimal(value) {
  return value === null || value === undefined || Number.isNaN(value) ? "–" : value.toFixed(2);
}

/**
 * @param {string} iso
 * @returns {string} "29 November 2026, 10:35"
 */
export function date(iso) {
  const when = new Date(iso);
  if (Number.isNaN(when.getTime())) return iso;
  const day = when.toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" });
  return `${day}, ${when.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}`;
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  const rest = Math.round(seconds) % 60;
  return minutes < 60
    ? `${minutes} min ${rest} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/**
 * The last part of a path; folders are told apart elsewhere.
 * @param {string} path
 */
export function baseName(path) {
  return path.slice(path.lastIndexOf("/") + 1);
}
