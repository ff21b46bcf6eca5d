/**
 * A typed emitter. `Events` maps the name of each event to what its listeners receive.
 * @template {Record<string, any>} Events
 */
export class Emitter {
  /** @type {Map<keyof Events, Set<(value: any) => void>>} */
  #listeners = new Map();

  /**
   * Call `listener` for each event of this name.
   * @template {keyof Events} Name
   * @param {Name} event
   * @param {(value: Events[Name]) => void} listener
   * @returns {() => void} ends the subscription
   */
  on(event, listener) {
    const all = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, all);
    // A function of its own, so that a listener can be subscribed twice.
    const own = (/** @type {any} */ value) => listener(value);
    all.add(own);
    return () => void all.delete(own);
  }

  /**
   * Call the listeners of this event. An error of one is reported as an uncaught error; the others are called
   * nevertheless.
   * @template {keyof Events} Name
   * @param {Name} event
   * @param {Events[Name]} value
   */
  emit(event, value) {
    // A copy, because a listener may end its subscription and begin another one.
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        listener(value);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
