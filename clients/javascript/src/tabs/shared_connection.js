import { Connection } from '../connection/connection.js';
import { Receiver } from '../connection/receiver.js';
import { SavedPoint } from '../connection/saved_point.js';
import { userOf } from '../connection/token.js';
import { TabGroup } from './tab_group.js';

/**
 * @typedef {import('../connection/positions.js').ServerObject} ServerObject
 * @typedef {import('../connection/options.js').State} State
 *
 * @typedef {object} SharedOptions
 * @property {Omit<import('../connection/options.js').ConnectionOptions, 'identify' | 'resumePoint' | 'received' | 'onState'>} connection
 * @property {boolean} isShared whether tabs share the connection
 * @property {(object: ServerObject, isNew: boolean) => void} deliver each object once, in order
 * @property {(state: State) => void} onState
 * @property {() => {unread: number | null, unseen: number | null}} totals the present ones of the inbox
 */

/** The connection of this tab: its own, or that of another tab with the same key. */
export class SharedConnection {
  /** @type {TabGroup | null} */
  #group = null;
  /** Of the user; null if users cannot be told apart. @type {string | null | undefined} */
  #owner;
  /** @type {SavedPoint | null} */
  #saved = null;
  /** Another object each time this tab begins or ceases to keep the connection. */
  #turn = {};
  #options;
  #receiver;
  #connection;

  /** @param {SharedOptions} options */
  constructor(options) {
    this.#options = options;
    this.#receiver = new Receiver(options.deliver);
    const { request, token } = options.connection;
    if (request.user !== null || !token.isUsed) this.#owner = request.user ?? '';
    this.#connection = new Connection({
      ...options.connection,
      identify: (token) => this.#identify(token),
      resumePoint: () => this.#receiver.resumePoint,
      received: (objects) => {
        this.#group?.send({ type: 'objects', objects });
        this.#receiver.receive(objects);
        this.#saved?.changed();
      },
      onState: (state) => this.#stateChanged(state),
    });
  }

  start() {
    if (this.#owner === undefined) void this.#connection.start();
    else this.#join();
  }

  /** Share the connection with the tabs of the same user with the same options. */
  #join() {
    const { request, transport, storage } = this.#options.connection;
    const key = this.#prefix + JSON.stringify([request.feeds, request.types, transport]);
    this.#saved ??= new SavedPoint(storage, key, () => this.#receiver.resumePoint);
    const canShare = this.#options.isShared && this.#owner !== null && globalThis.navigator?.locks && globalThis.BroadcastChannel;
    if (!canShare) return void this.#lead();
    this.#group = new TabGroup(`herald:${key}`, {
      lead: () => void this.#lead(),
      follow: () => {
        this.#turn = {};
        this.#connection.pause();
        this.#saved?.cancel();
      },
      received: (objects) => this.#receiver.receive(objects),
      onState: this.#options.onState,
      ask: () => this.#connection.check(),
      wake: () => this.#connection.wake(),
      signedOut: () => this.#signedOut(),
      present: () => ({ state: this.#connection.state, summary: this.#summary() }),
    });
  }

  /** Leave the connection to the other tabs; close it if there are none. `start` can be called again. */
  leave() {
    this.#turn = {};
    this.#connection.pause();
    this.#saved?.flush();
    this.#group?.leave();
    this.#group = null;
  }

  /** Stop in all tabs, because the user has signed out. */
  signOut() {
    this.#group?.send({ type: 'sign-out' });
    this.#signedOut();
  }

  wake() {
    this.#connection.wake();
    this.#group?.send({ type: 'wake' });
    this.#group?.ask();
  }

  offline() {
    this.#connection.offline();
  }

  /** The keys of what is stored of the user begin with this. */
  get #prefix() {
    return `${this.#options.connection.request.base} ${this.#owner} `;
  }

  /**
   * Take the user from the first token.
   * @param {string | null} token
   */
  #identify(token) {
    if (this.#owner !== undefined) return true;
    this.#owner = userOf(token);
    this.#connection.pause();
    this.#join();
    return false;
  }

  async #lead() {
    const turn = (this.#turn = {});
    if (!this.#receiver.resumePoint) {
      const point = /** @type {any} */ (await this.#saved?.load());
      if (turn !== this.#turn) return;
      this.#receiver.resumeFrom(point);
    }
    void this.#connection.start();
  }

  /** @param {State} state */
  #stateChanged(state) {
    if (state.state === 'stopped') {
      if (state.signedOut) return this.signOut();
      // Another tab may have another token, and tries it.
      this.leave();
    } else this.#group?.send({ type: 'state', state });
    this.#options.onState(state);
  }

  #signedOut() {
    this.#saved?.cancel();
    this.leave();
    void this.#options.connection.storage.clear(this.#prefix);
    this.#options.onState({ state: 'stopped', reason: 'the user has signed out', signedOut: true });
  }

  #summary() {
    const { summary } = this.#receiver;
    const { unread, unseen } = this.#options.totals();
    return summary && { ...summary, unread, unseen };
  }
}
