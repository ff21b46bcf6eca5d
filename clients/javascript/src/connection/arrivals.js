/** How many arrivals are remembered. */
const MOST = 1000;

/**
 * Tells new notifications from known ones whose state has changed. Both are sent as `notification` after a disconnect.
 */
export class Arrivals {
  #start = 0;
  /** The `seq` of each notification received since the start, the earliest one first. @type {Map<string, number>} */
  #received = new Map();

  /** @param {number} position of the inbox at which a session starts */
  startAt(position) {
    this.#start = position;
    this.#received.clear();
  }

  /**
   * Record a `notification`.
   * @param {Record<string, any>} notification
   * @returns {boolean} whether it has arrived since the start, for the first time or again
   */
  isNew({ id, seq }) {
    if (seq <= this.#start || (this.#received.get(id) ?? 0) >= seq) return false;
    this.#received.set(id, seq);
    if (this.#received.size > MOST) this.#forget();
    return true;
  }

  /** Forget the earlier half: what arrived until then counts as known. */
  #forget() {
    let count = MOST / 2;
    for (const [id, seq] of this.#received) {
      this.#start = Math.max(this.#start, seq);
      this.#received.delete(id);
      if (--count === 0) return;
    }
  }
}
