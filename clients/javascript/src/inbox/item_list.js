/** @typedef {import('./item.js').Item} Item */

/** A chunk with more items is divided. */
const MOST = 64;

/**
 * An immutable list of items, the largest `seq` first. It consists of chunks. A change returns a new list, which shares
 * all chunks but one with the old one: so a change costs little more in a list of 10,000 than in one of 100.
 */
export class ItemList {
  static empty = new ItemList([], 0);

  #chunks;
  /** The number of items. */
  length;

  /**
   * @param {Item[][]} chunks none of them is empty
   * @param {number} length
   */
  constructor(chunks, length) {
    this.#chunks = chunks;
    this.length = length;
  }

  /**
   * @param {Item[]} items in any order
   * @returns {ItemList}
   */
  static of(items) {
    const sorted = items.toSorted((one, other) => other.seq - one.seq);
    const chunks = [];
    for (let at = 0; at < sorted.length; at += MOST / 2) chunks.push(sorted.slice(at, at + MOST / 2));
    return new ItemList(chunks, sorted.length);
  }

  /**
   * The list with this item, in place of one with the same `seq`.
   * @param {Item} item
   * @returns {ItemList}
   */
  with(item) {
    return this.#changed(item.seq, [item]);
  }

  /**
   * The list without the item of this `seq`; the same list if it has none.
   * @param {number} seq
   * @returns {ItemList}
   */
  without(seq) {
    return this.#changed(seq, []);
  }

  /**
   * @param {number} index 0 is the newest, -1 the oldest
   * @returns {Item | undefined}
   */
  at(index) {
    const start = index < 0 ? index + this.length : index;
    return this.slice(start, start + 1)[0];
  }

  /**
   * The items from `start` up to, but not including, `end`.
   * @param {number} [start]
   * @param {number} [end]
   * @returns {Item[]}
   */
  slice(start = 0, end = this.length) {
    const found = [];
    let first = 0;
    for (const chunk of this.#chunks) {
      if (first >= end) break;
      if (first + chunk.length > start) found.push(...chunk.slice(Math.max(0, start - first), end - first));
      first += chunk.length;
    }
    return found;
  }

  /**
   * @template Result
   * @param {(item: Item, index: number) => Result} make
   * @returns {Result[]}
   */
  map(make) {
    return this.slice().map(make);
  }

  [Symbol.iterator]() {
    return this.slice()[Symbol.iterator]();
  }

  /**
   * @param {number} seq
   * @param {Item[]} items one or none, in place of the item of this `seq`
   */
  #changed(seq, items) {
    // The chunk whose first item is the last one that is not after `seq`.
    const index = Math.max(0, countBefore(this.#chunks, (chunk) => /** @type {Item} */ (chunk[0]).seq, seq - 1) - 1);
    const chunk = this.#chunks[index] ?? [];
    const at = countBefore(chunk, (item) => item.seq, seq);
    const removed = chunk[at]?.seq === seq ? 1 : 0;
    if (!removed && !items.length) return this;
    const changed = chunk.toSpliced(at, removed, ...items);
    const half = changed.length > MOST ? MOST / 2 : changed.length;
    const parts = [changed.slice(0, half), changed.slice(half)].filter((part) => part.length);
    return new ItemList(this.#chunks.toSpliced(index, 1, ...parts), this.length + items.length - removed);
  }
}

/**
 * How many of the values come before `seq`: have a larger one.
 * @template Value
 * @param {Value[]} values the largest first
 * @param {(value: Value) => number} seqOf
 * @param {number} seq
 */
function countBefore(values, seqOf, seq) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (seqOf(/** @type {Value} */ (values[middle])) > seq) low = middle + 1;
    else high = middle;
  }
  return low;
}
