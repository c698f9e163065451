/**
 * What travels between the pipeline and the viewer: the same in a report, where it is embedded, and
 * in the studio, which serves it. Three kinds of ids: clusters (pixels of label maps), classes (of
 * the table), proposals (of one image).
 */

/**
 * A class of the table. `id` 0..254; `clusters` are those that it owns.
 * @typedef {object} ClassEntry
 * @property {number} id
 * @property {string | null} name
 * @property {string} colour "#rrggbb"
 * @property {number[]} clusters
 * @property {boolean} ignore
 * @property {string} note
 */

/**
 * All images, column by column; row i of each is image i.
 * @typedef {object} ImageColumns
 * @property {string[]} name relative path, as in the run
 * @property {number[]} width of the photograph, upright, in pixels
 * @property {number[]} height
 * @property {(number | null)[]} proposals number of mask proposals; null = none were kept
 * @property {(number | null)[]} coverage fraction of the pixels that a proposal covers
 * @property {(number | null)[]} certainty mean difference of the two largest class probabilities
 * @property {[number, number][][]} clusters [cluster, pixels] of the label map; 255 = ignored
 * @property {string[][]} warnings sentences
 */

/**
 * A region shown as an example. Without a proposal: all pixels of the class in that image.
 * @typedef {object} Example
 * @property {number} image index
 * @property {number | null} proposal
 * @property {number} score of its list: similarity to the cluster's mean, or certainty, or share
 */

/**
 * What proposals say of clusters; null where no features are stored (folders of `predict`).
 * @typedef {object} ClusterFacts
 * @property {string} gram base64 of (K, K) float32, little endian: inner products of the sums of
 *     unit mean features of each cluster's proposals
 * @property {number[]} counts (K) proposals of each cluster
 */

/**
 * @typedef {object} ClusterExamples
 * @property {Example[]} best
 * @property {Example[]} worst
 * @property {Example[]} uncertain
 */

/**
 * @typedef {object} Curves
 * @property {number[]} losses one per step
 * @property {number[]} steps of the snapshots
 * @property {number[][]} usage (snapshots, K) fractions
 * @property {number[]} agreement (snapshots) fractions
 */

/**
 * @typedef {object} Tree
 * @property {number} num_clusters
 * @property {[number, number, number, number][]} merges group, group, height, share of the new one
 * @property {{value: number, curve: [number, number][]} | null} number how K was chosen, if it was
 */

/**
 * What does not change while somebody looks.
 * @typedef {object} RunRecord
 * @property {number} format 1
 * @property {string} title name of the folder
 * @property {string} folder where it lies, for command lines
 * @property {string} date ISO 8601, when it was finished
 * @property {string} about what the photographs are; may be empty
 * @property {string} command that made it: "segment", "predict", ...
 * @property {string} model fingerprint
 * @property {number} num_clusters
 * @property {{name: string, training: string, levels: string | null}} backbone
 * @property {string} method of the fit
 * @property {string[]} inputs what the user gave as IMAGES
 * @property {boolean} has_proposals
 * @property {boolean} has_certainty maps, pixel by pixel; means are in `images`
 * @property {ImageColumns} images
 * @property {number} total_images labelled ones; `images` may be fewer in a report
 * @property {ClusterFacts | null} clusters
 * @property {[number, number][] | null} [cluster_certainty] by cluster: number of places that were
 *     measured, their mean certainty; left out or null where it is not known
 * @property {ClusterExamples[]} examples by cluster
 * @property {Record<string, string>} facts label to text
 * @property {string[]} warnings of the whole run
 * @property {{path: string, stage: string, reason: string}[]} failures
 * @property {Record<string, any>} settings nested
 * @property {Record<string, number>} timings seconds per stage
 * @property {Curves | null} curves
 * @property {Tree | null} tree
 * @property {{title: string, text: string, command: string | null}[]} advice what to do next
 */

/**
 * What changes when somebody names, merges or corrects. `corrections` holds class ids, 255 = of no
 * class; `pixels` are exact class counts of images with corrections, [class, pixels].
 * @typedef {object} State
 * @property {number} revision
 * @property {ClassEntry[]} classes
 * @property {Record<string, Record<string, number>>} corrections by image name and proposal
 * @property {Record<string, [number, number][]>} pixels by image name
 * @property {string[]} asleep corrections that mean nothing at present, in words
 * @property {string | null} undo what would be undone, in words
 * @property {string | null} redo
 * @property {CandidateRecord[]} candidates
 * @property {number | null} accepted number of the candidate in place, if any
 */

/**
 * @typedef {object} CandidateRecord
 * @property {number} number
 * @property {string} kind "names" or "split"
 * @property {string[]} classes titles by class id
 * @property {number} clicks proposals that a person spoke of
 */

/**
 * The id maps of one image, at one size.
 * @typedef {object} Maps
 * @property {number} width
 * @property {number} height
 * @property {Uint16Array} labels clusters, 255 = ignored
 * @property {Uint16Array | null} proposals 0 = none
 */

/**
 * @typedef {object} CertaintyMap
 * @property {number} width
 * @property {number} height
 * @property {Uint8Array} values 0..255 for 0..1
 */

/**
 * Where the viewer has its data from.
 * @typedef {object} Source
 * @property {RunRecord} run
 * @property {State} state
 * @property {(image: number, side: number) => Promise<ImageBitmap>} photo whose long side is about
 *     `side` pixels, or as large as there is
 * @property {(image: number, side?: number) => Promise<Maps>} maps without `side` as large as
 *     there is
 * @property {(image: number) => Promise<CertaintyMap | null>} certainty
 * @property {(images: number[], side?: number) => void} [prefetch] what is likely
 *     to be looked at next
 * @property {import("viewer/studio/api.js").StudioApi | null} api null = read only
 */

/**
 * A change that a person asks for; the studio sends it with the revision it was made on.
 * @typedef {{kind: "name", class: number, name: string | null}
 *   | {kind: "merge", classes: number[], name: string}
 *   | {kind: "ignore", class: number, ignore: boolean}
 *   | {kind: "colour", class: number, colour: string}
 *   | {kind: "note", class: number, note: string}
 *   | {kind: "say", proposals: [string, number][], class: number | string | null}
 *   | {kind: "alike", image: string, proposal: number, class: number | string | null}
 *   | {kind: "retract", proposals: [string, number][]}
 *   | {kind: "cut", classes: number}
 *   | {kind: "dataset", name: string}
 *   | {kind: "reset"}} Edit
 *   `class` as text is a name, of a class that is made if there is none; null = of no class.
 */

export {};
