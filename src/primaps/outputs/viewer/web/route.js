/** The address behind "#": which view, with what. */

/**
 * @typedef {{view: string, params: Record<string, string>}} Route
 *     `params.name` is the part of the path behind the view
 */

/**
 * @param {string} hash "#/gallery?class=3", "#/photo/a/b.jpg"
 * @param {string} home view of an empty or strange address
 * @returns {Route}
 */
export function parseRoute(hash, home) {
  if (!hash.startsWith("#/")) return { view: home, params: {} };
  const [path, query = ""] = splitOnce(hash.slice(2), "?");
  const [view, name] = splitOnce(path, "/");
  const params = Object.fromEntries(new URLSearchParams(query));
  if (name !== undefined) params.name = decoded(name);
  return { view: view || home, params };
}

/**
 * @param {string} view
 * @param {Record<string, unknown>} [params] what is empty is left out
 * @returns {string}
 */
export function formatRoute(view, params = {}) {
  const { name, ...others } = params;
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(others))
    if (value !== undefined && value !== null && value !== "") query.set(key, String(value));
  const path =
    name === undefined ? "" : `/${String(name).split("/").map(encodeURIComponent).join("/")}`;
  const text = query.toString();
  return `#/${view}${path}${text && `?${text}`}`;
}

/**
 * @param {string} text
 * @param {string} sign
 * @returns {[string, string | undefined]}
 */
function splitOnce(text, sign) {
  const place = text.indexOf(sign);
  return place < 0 ? [text, undefined] : [text.slice(0, place), text.slice(place + 1)];
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    // Somebody typed a lone "%": taken as it is.
    return text;
  }
}
