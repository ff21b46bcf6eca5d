/** @typedef {import('./positions.js').ResumePoint} ResumePoint */

/** The longest time between an object and the saving of its position. */
const DELAY_MS = 250;

/** Saves where to continue after the page was closed. */
export class SavedPoint {
  #storage;
  #key;
  #point;
  /** @type {any} */
  #timer = null;

  /**
   * @param {import('./storage.js').Storage} storage
   * @param {string} key
   * @param {() => ResumePoint | null} point the present one
   */
  constructor(storage, key, point) {
    this.#storage = storage;
    this.#key = key;
    this.#point = point;
  }

  /** @returns {Promise<ResumePoint | null>} */
  async load() {
    return (await this.#storage.get(this.#key)) ?? null;
  }

  /** Save the present point soon. */
  changed() {
    this.#timer ??= setTimeout(() => this.flush(), DELAY_MS);
  }

  /** Save now what has changed. */
  flush() {
    if (this.#timer === null) return;
    this.cancel();
    const point = this.#point();
    if (point) void this.#storage.set(this.#key, point);
  }

  /** Save nothing more. */
  cancel() {
    clearTimeout(this.#timer);
    this.#timer = null;
  }
}
