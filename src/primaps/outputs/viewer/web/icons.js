/** Small line drawings for buttons; what they mean is said by the button's label. */

import { svg } from "viewer/dom.js";

/** @type {Record<string, string>} paths in a square of 24 */
const PATHS = {
  layers: "M12 4 3 9l9 5 9-5-9-5ZM4.5 12.5 12 17l7.5-4.5M4.5 16 12 20.5 19.5 16",
  keyboard:
    "M4 6h16a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1ZM7 10h.01M11 10h.01" +
    "M15 10h.01M17 14h.01M7 14h.01M10 14h4",
  system: "M4 5h16v11H4ZM9 20h6M12 16v4",
  light:
    "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6 19 19" +
    "M5 19l1.4-1.4M17.6 6.4 19 5",
  dark: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z",
  copy: "M9 9h10v11H9ZM5 15V4h10",
  left: "m15 5-7 7 7 7",
  right: "m9 5 7 7-7 7",
  first: "m18 5-7 7 7 7M7 5v14",
  last: "m6 5 7 7-7 7M17 5v14",
  warning: "M12 4 2.5 20h19ZM12 10v4M12 17h.01",
};

/**
 * @param {string} name
 * @returns {SVGElement}
 */
export function icon(name) {
  return svg(
    "svg",
    {
      viewBox: "0 0 24 24",
      width: 20,
      height: 20,
      fill: "none",
      stroke: "currentColor",
      "stroke-width": 1.7,
      "stroke-linecap": "round",
      "stroke-linejoin": "round",
      "aria-hidden": "true",
    },
    svg("path", { d: PATHS[name] }),
  );
}
