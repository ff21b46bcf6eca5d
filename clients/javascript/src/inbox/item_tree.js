/**
 * An immutable B-tree of items, the largest `seq` first. The values of a leaf (height 0) are items, those of other nodes
 * are nodes. `seqs` are the first `seq` of each value: they stand in an array of their own, because a search that reads
 * each value takes several times as long.
 * @typedef {import('./item.js').Item} Item
 * @typedef {{height: number, seqs: number[], values: any[], size: number}} Node
 */

/** A node with more values is divided. A change copies one node of each height. */
const MAX_VALUES = 32;

/** @type {Node} */
export const EMPTY = { height: 0, seqs: [], values: [], size: 0 };

/**
 * @param {Item[]} sorted
 * @returns {Node}
 */
export function treeOf(sorted) {
  let nodes = grouped(sorted, 0);
  while (nodes.length > 1) nodes = grouped(nodes, /** @type {Node} */ (nodes[0]).height + 1);
  return nodes[0] ?? EMPTY;
}

/**
 * The tree with this item, in place of one with the same `seq`.
 * @param {Node} root
 * @param {Item} item
 * @returns {Node}
 */
export function put(root, item) {
  const nodes = putInto(root, item);
  return nodes.length > 1 ? nodeOf(nodes, root.height + 1) : /** @type {Node} */ (nodes[0]);
}

/**
 * The tree without the item of this `seq`; the same tree if it has none.
 * @param {Node} root
 * @param {number} seq
 * @returns {Node}
 */
export function take(root, seq) {
  let node = takeFrom(root, seq);
  while (node.height && node.values.length < 2) node = node.values[0] ?? EMPTY;
  return node;
}

/**
 * Append the items from `start` up to, but not including, `end` to `found`.
 * @param {Node} node
 * @param {number} start
 * @param {number} end
 * @param {Item[]} found
 */
export function collect({ height, values }, start, end, found) {
  let first = 0;
  for (const value of values) {
    const size = height ? value.size : 1;
    if (first >= end) return;
    if (first + size > start) {
      if (height) collect(value, start - first, end - first, found);
      else found.push(value);
    }
    first += size;
  }
}

/**
 * @param {Node} node
 * @param {Item} item
 * @returns {Node[]} two if it had to be divided
 */
function putInto(node, item) {
  const { height, seqs, values } = node;
  let index = firstNotAbove(seqs, item.seq);
  const isFound = seqs[index] === item.seq;
  if (height === 0) return isFound ? [replaced(node, index, item)] : divided(values.toSpliced(index, 0, item), 0);
  if (!isFound) index = Math.max(0, index - 1);
  const parts = putInto(values[index], item);
  const [first] = parts;
  if (parts.length === 1 && first?.seqs[0] === seqs[index]) return [replaced(node, index, first)];
  return divided(values.toSpliced(index, 1, ...parts), height);
}

/**
 * @param {Node} node
 * @param {number} seq
 * @returns {Node}
 */
function takeFrom(node, seq) {
  const { height, seqs, values } = node;
  let index = firstNotAbove(seqs, seq);
  const isFound = seqs[index] === seq;
  if (height === 0) return isFound ? nodeOf(values.toSpliced(index, 1), 0) : node;
  if (!isFound) index = Math.max(0, index - 1);
  const child = takeFrom(values[index], seq);
  if (child === values[index]) return node;
  return nodeOf(values.toSpliced(index, 1, ...(child.size ? [child] : [])), height);
}

/**
 * @param {any[]} values
 * @param {number} height
 * @returns {Node}
 */
function nodeOf(values, height) {
  const seqs = values.map((value) => (height ? value.seqs[0] : value.seq));
  const size = height ? values.reduce((sum, child) => sum + child.size, 0) : values.length;
  return { height, seqs, values, size };
}

/**
 * @param {Node} node
 * @param {number} index
 * @param {any} value one with the same first `seq`
 * @returns {Node}
 */
function replaced({ height, seqs, values, size }, index, value) {
  const copy = values.slice();
  copy[index] = value;
  return { height, seqs, values: copy, size: height ? size + value.size - values[index].size : size };
}

/**
 * @param {any[]} values
 * @param {number} height
 */
function divided(values, height) {
  if (values.length <= MAX_VALUES) return [nodeOf(values, height)];
  const half = values.length >> 1;
  return [nodeOf(values.slice(0, half), height), nodeOf(values.slice(half), height)];
}

/**
 * @param {any[]} values
 * @param {number} height
 */
function grouped(values, height) {
  const nodes = [];
  for (let at = 0; at < values.length; at += MAX_VALUES) nodes.push(nodeOf(values.slice(at, at + MAX_VALUES), height));
  return nodes;
}

/**
 * @param {number[]} seqs the largest first
 * @param {number} seq
 * @returns {number} the index of the first one that is not larger than `seq`
 */
function firstNotAbove(seqs, seq) {
  let low = 0;
  let high = seqs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (/** @type {number} */ (seqs[middle]) > seq) low = middle + 1;
    else high = middle;
  }
  return low;
}
