import { collect, EMPTY, put, take, treeOf } from './item_tree.js';

/** @typedef {import('./item.js').Item} Item */

/**
 * An immutable list of items, the largest `seq` first. A change returns a new list, which shares nearly everything with
 * the old one: so a change costs little more in a list of 10,000 than in one of 100.
 */
export class ItemList {
  static empty = new ItemList(EMPTY);

  #root;

  /** @param {import('./item_tree.js').Node} root */
  constructor(root) {
    this.#root = root;
  }

  /**
   * @param {Item[]} items in any order
   * @returns {ItemList}
   */
  static of(items) {
    return new ItemList(treeOf(items.toSorted((one, other) => other.seq - one.seq)));
  }

  /** The number of items. */
  get length() {
    return this.#root.size;
  }

  /**
   * The list with this item, in place of one with the same `seq`.
   * @param {Item} item
   * @returns {ItemList}
   */
  with(item) {
    return new ItemList(put(this.#root, item));
  }

  /**
   * The list without the item of this `seq`; the same list if it has none.
   * @param {number} seq
   * @returns {ItemList}
   */
  without(seq) {
    const root = take(this.#root, seq);
    return root === this.#root ? this : new ItemList(root);
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
    /** @type {Item[]} */
    const found = [];
    collect(this.#root, start, end, found);
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
}
