/** The studio's server, as functions. */

/** @typedef {object} StudioApi */

export {};
