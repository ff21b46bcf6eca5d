import { HeraldProblem } from '../rest/problem.js';

/** @typedef {import('./actions.js').Action} Action */

const RETRY_S = 5;

/**
 * Sends actions one after another, in the order in which they were made. If Herald cannot be reached, or asks to wait,
 * the queue pauses: until `resume`, or for some seconds.
 */
export class ActionQueue {
  /** @type {{action: Action, resolve: (isAccepted: boolean) => void}[]} */
  #waiting = [];
  #isSending = false;
  #options;
  /** @type {any} */
  #timer;

  /**
   * @param {object} options
   * @param {(action: Action) => Promise<void>} options.send resolved once the response has been applied
   * @param {(action: Action) => void} options.ended the action is no longer pending: it was confirmed or refused
   * @param {(action: Action, problem: HeraldProblem) => void} options.refused
   */
  constructor(options) {
    this.#options = options;
  }

  /** The actions that the server has not confirmed, the first one first. */
  get pending() {
    return this.#waiting.map(({ action }) => action);
  }

  get length() {
    return this.#waiting.length;
  }

  /**
   * @param {Action} action
   * @returns {Promise<boolean>} whether the server has accepted it
   */
  add(action) {
    const { promise, resolve } = /** @type {PromiseWithResolvers<boolean>} */ (Promise.withResolvers());
    this.#waiting.push({ action, resolve });
    void this.#send();
    return promise;
  }

  /** Try to send now. */
  resume() {
    clearTimeout(this.#timer);
    void this.#send();
  }

  /** Forget the actions that were not confirmed. */
  clear() {
    clearTimeout(this.#timer);
    for (const { resolve } of this.#waiting.splice(0)) resolve(false);
  }

  async #send() {
    if (this.#isSending) return;
    this.#isSending = true;
    try {
      for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
        const error = await this.#options.send(next.action).then(() => null, (caught) => caught);
        if (this.#waiting[0] !== next) continue; // It was cleared.
        const isRefused = error instanceof HeraldProblem && !error.isTemporary;
        if (error && !isRefused) return this.#pause(error.retryAfter ?? RETRY_S);
        this.#waiting.shift();
        this.#options.ended(next.action);
        if (isRefused) this.#options.refused(next.action, error);
        next.resolve(!isRefused);
      }
    } finally {
      this.#isSending = false;
    }
  }

  /** @param {number} seconds */
  #pause(seconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#send(), seconds * 1000);
  }
}
