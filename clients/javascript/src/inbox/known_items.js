import { changed } from './item.js';

/**
 * @typedef {import('./item.js').Item} Item
 * @typedef {import('./item.js').Change} Change
 */

/**
 * The latest state of each notification, as the server has it. Pages, responses and objects of the stream may come in
 * any order: of two states of one notification, the one with the larger `changed` is kept.
 */
export class KnownItems {
  /** @type {Map<string, Item>} */
  #items = new Map();
  /**
   * Changes that came while a request was on its way: its response may have a notification as it was before.
   * @type {Map<string, Change>}
   */
  #changes = new Map();
  #requests = 0;

  /** @param {string} id */
  get(id) {
    return this.#items.get(id);
  }

  values() {
    return this.#items.values();
  }

  /** @param {Item} item */
  put(item) {
    const known = this.#items.get(item.id);
    if (known && known.changed >= item.changed) return;
    const latest = changed(item, this.#changes.get(item.id));
    if (latest) this.#items.set(item.id, latest);
    else this.#items.delete(item.id);
  }

  /** @param {Change} change */
  change(change) {
    const { id } = change;
    if (this.#requests && change.changed > (this.#changes.get(id)?.changed ?? 0)) this.#changes.set(id, change);
    const known = this.#items.get(id);
    if (!known) return;
    const latest = changed(known, change);
    if (latest) this.#items.set(id, latest);
    else this.#items.delete(id);
  }

  /** A request was sent whose response will be put here. */
  requestStarted() {
    this.#requests += 1;
  }

  /** The response was put, or there is none. */
  requestEnded() {
    this.#requests -= 1;
    if (!this.#requests) this.#changes.clear();
  }
}
