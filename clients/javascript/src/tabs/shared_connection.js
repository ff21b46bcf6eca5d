import { Connection } from '../connection/connection.js';
import { Receiver } from '../connection/receiver.js';
import { SavedPoint } from '../connection/saved_point.js';
import { TabGroup } from './tab_group.js';

/**
 * @typedef {import('../connection/positions.js').ServerObject} ServerObject
 * @typedef {import('../connection/connection.js').State} State
 *
 * @typedef {object} SharedOptions
 * @property {Omit<import('../connection/connection.js').ConnectionOptions, 'resumePoint' | 'received' | 'onState'>} connection
 * @property {string} key of what is stored, and of the tabs that share the connection
 * @property {boolean} isShared
 * @property {Promise<import('../connection/storage.js').Storage>} storage
 * @property {(object: ServerObject, isNew: boolean) => void} deliver each object once, in order
 * @property {(state: State) => void} onState
 * @property {() => {unread: number | null, unseen: number | null}} totals the present ones of the inbox
 */

/** The connection of this tab: its own, or that of another tab with the same key. */
export class SharedConnection {
  /** @type {TabGroup | null} */
  #group = null;
  #options;
  #receiver;
  #saved;
  #connection;

  /** @param {SharedOptions} options */
  constructor(options) {
    this.#options = options;
    this.#receiver = new Receiver(options.deliver);
    this.#saved = new SavedPoint(options.storage, options.key, () => this.#receiver.resumePoint);
    this.#connection = new Connection({
      ...options.connection,
      resumePoint: () => this.#receiver.resumePoint,
      received: (objects) => {
        this.#group?.sendObjects(objects);
        this.#receiver.receive(objects);
        this.#saved.changed();
      },
      onState: (state) => this.#stateChanged(state),
    });
  }

  start() {
    const canShare = globalThis.navigator?.locks && globalThis.BroadcastChannel;
    if (!this.#options.isShared || !canShare) return void this.#lead();
    this.#group = new TabGroup(`herald:${this.#options.key}`, {
      lead: () => void this.#lead(),
      follow: () => {
        this.#connection.pause();
        this.#saved.cancel();
      },
      received: (objects) => this.#receiver.receive(objects),
      onState: this.#options.onState,
      signedOut: () => this.#signedOut(),
      present: () => ({ state: this.#connection.state, summary: this.#summary() }),
    });
  }

  /** Leave the connection to the other tabs; close it if there are none. `start` can be called again. */
  leave() {
    this.#connection.pause();
    this.#saved.flush();
    this.#group?.leave();
    this.#group = null;
  }

  /** Stop in all tabs, because the user has signed out. */
  signOut() {
    this.#group?.sendSignOut();
    this.#signedOut();
  }

  wake() {
    this.#connection.wake();
    this.#group?.ask();
  }

  offline() {
    this.#connection.offline();
  }

  async #lead() {
    const group = this.#group;
    if (!this.#receiver.resumePoint) {
      const point = await this.#saved.load();
      if (group !== this.#group || group?.isLeader === false) return;
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
    } else this.#group?.sendState(state);
    this.#options.onState(state);
  }

  #signedOut() {
    this.#saved.cancel();
    this.leave();
    this.#options.onState({ state: 'stopped', reason: 'the user has signed out', signedOut: true });
  }

  #summary() {
    const { summary } = this.#receiver;
    const { unread, unseen } = this.#options.totals();
    return summary && { ...summary, unread: unread ?? undefined, unseen: unseen ?? undefined };
  }
}
