import { Arrivals } from './arrivals.js';
import { Positions } from './positions.js';

/** @typedef {import('./positions.js').ServerObject} ServerObject */

/** What one tab has received: passes each object on once, wherever it comes from. */
export class Receiver {
  #positions = new Positions();
  #arrivals = new Arrivals();
  /** The last `hello`. @type {ServerObject | null} */
  #hello = null;
  #deliver;

  /** @param {(object: ServerObject, isNew: boolean) => void} deliver `isNew`: a notification that has arrived */
  constructor(deliver) {
    this.#deliver = deliver;
  }

  get resumePoint() {
    return this.#positions.resumePoint;
  }

  /** @param {import('./positions.js').ResumePoint | null} point */
  resumeFrom(point) {
    this.#positions = new Positions(point);
  }

  /**
   * A `hello` for a tab that continues from here. It has all streams in `gap`: the tab does not have what came before.
   * @returns {ServerObject | null}
   */
  get summary() {
    const positions = this.#positions.all;
    const cursor = this.resumePoint?.cursor;
    return this.#hello && { ...this.#hello, positions, cursor, resumed: false, gap: Object.keys(positions) };
  }

  /** @param {ServerObject[]} objects */
  receive(objects) {
    for (let object of objects) {
      // Nothing is missing where nothing was received before.
      if (object.kind === 'hello' && !this.resumePoint) object = { ...object, gap: [] };
      if (!this.#positions.accept(object)) continue;
      if (object.kind === 'hello') {
        this.#hello = object;
        this.#arrivals.startAt(this.#positions.of('inbox'));
      }
      this.#deliver(object, object.kind === 'notification' && this.#arrivals.isNew(object));
    }
  }
}
