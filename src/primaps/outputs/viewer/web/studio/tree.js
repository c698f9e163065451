/** Fewer or more classes along the tree of the clusters: the same rules as the pipeline's cut. */

/** @import {ClassEntry, State, Tree} from "viewer/types.js" */

/**
 * The groups that are left when all but the last merges are done, the lowest cluster first.
 * @param {Tree} tree
 * @param {number} number of groups
 * @returns {number[][]}
 */
export function cut(tree, number) {
  /** @type {Map<number, number[]>} */
  const groups = new Map();
  for (let cluster = 0; cluster < tree.num_clusters; cluster++) groups.set(cluster, [cluster]);
  for (let step = 0; step < tree.num_clusters - number; step++) {
    const [first, second] = tree.merges[step];
    const joined = [...(groups.get(first) ?? []), ...(groups.get(second) ?? [])];
    groups.delete(first);
    groups.delete(second);
    groups.set(
      tree.num_clusters + step,
      joined.sort((a, b) => a - b),
    );
  }
  return [...groups.values()].sort((a, b) => a[0] - b[0]);
}

/**
 * Of one group: the class of which a person said something, if there is one.
 * @typedef {{clusters: number[], entry: ClassEntry | null, colour: string}} Part
 */

/**
 * What a cut would make of the classes, and what stands against it, in words.
 * @param {Tree} tree
 * @param {State} state
 * @param {number} number
 * @returns {{parts: Part[], problems: string[]}}
 */
export function planCut(tree, state, number) {
  /** @type {Map<number, ClassEntry>} */
  const owner = new Map();
  for (const entry of state.classes)
    for (const cluster of entry.clusters) owner.set(cluster, entry);
  /** @type {Map<number, number>} */
  const seen = new Map();
  const problems = [];
  const parts = cut(tree, number).map((clusters) => {
    const owners = new Set(clusters.flatMap((cluster) => owner.get(cluster) ?? []));
    const said = [...owners].filter(
      (entry) => entry.name !== null || entry.ignore || entry.note !== "",
    );
    if (said.length > 1)
      problems.push(`${said.map(titleOf).join(" and ")} would become one class.`);
    for (const entry of said) seen.set(entry.id, (seen.get(entry.id) ?? 0) + 1);
    const first = said[0] ?? owner.get(clusters[0]);
    return { clusters, entry: said[0] ?? null, colour: first?.colour ?? "#808080" };
  });
  for (const [id, times] of seen)
    if (times > 1)
      problems.push(`${titleOf(state.classes.find((entry) => entry.id === id))} would be parted.`);
  return { parts: apart(parts), problems };
}

/**
 * No two groups of one colour: later ones are given another shade.
 * @param {Part[]} parts
 * @returns {Part[]}
 */
function apart(parts) {
  /** @type {Map<string, number>} */
  const used = new Map();
  return parts.map((part) => {
    const times = used.get(part.colour) ?? 0;
    used.set(part.colour, times + 1);
    return times ? { ...part, colour: shifted(part.colour, times) } : part;
  });
}

/**
 * @param {string} colour "#rrggbb"
 * @param {number} times
 */
function shifted(colour, times) {
  const value = parseInt(colour.slice(1), 16);
  const channels = [value >> 16, (value >> 8) & 255, value & 255];
  const moved = channels.map((channel, index) => (channel + times * (67 + 31 * index)) % 256);
  return `#${moved.map((channel) => channel.toString(16).padStart(2, "0")).join("")}`;
}

/** @param {ClassEntry | undefined} entry */
function titleOf(entry) {
  return entry ? (entry.name ?? `class ${entry.id}`) : "a class";
}
