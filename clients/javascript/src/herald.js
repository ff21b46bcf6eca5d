import { baseOf } from './address.js';
import { watchPage } from './connection/page_events.js';
import { openStorage } from './connection/storage.js';
import { Token } from './connection/token.js';
import { Emitter } from './events.js';
import { Inbox } from './inbox/store.js';
import { Rest } from './rest/client.js';
import { PreferencesClient } from './rest/preferences.js';
import { SharedConnection } from './tabs/shared_connection.js';

/**
 * @typedef {import('./connection/positions.js').ServerObject} ServerObject
 * @typedef {import('./connection/options.js').State} State
 *
 * @typedef {object} HeraldOptions
 * @property {string | URL} url where Herald is served, such as `https://shop.example/herald`
 * @property {import('./connection/token.js').TokenSource} [token] a string, or a function (async or not) that returns a
 *   fresh one, and null if nobody is signed in
 * @property {string | null} [user] needed with a token that is not a JWT with `sub`, and by a Herald without authentication
 * @property {readonly string[] | null} [feeds] the feeds to receive; all that the user may read if it is left out
 * @property {readonly string[] | null} [types] only events of these types
 * @property {'websocket' | 'stream' | 'polling' | 'auto'} [transport] `auto`: the best that works
 * @property {'indexeddb' | 'local' | 'memory' | 'auto'} [storage] where the client remembers what it has received
 * @property {boolean} [tabs] whether the tabs of a browser share one connection; true in browsers
 * @property {{filter?: import('./inbox/pages.js').Filter, pageSize?: number}} [inbox]
 * @property {any} [WebSocket] a constructor, where there is no global one
 * @property {typeof globalThis.fetch} [fetch]
 * @property {import('./connection/options.js').ConnectionOptions['timing']} [timing] for tests
 *
 * @typedef {object} HeraldEvents
 * @property {State} state
 * @property {ServerObject} notification one that has arrived
 * @property {ServerObject} broadcast of any feed
 * @property {ServerObject} change a notification was marked or archived, has changed while the client was away, or `seen`
 * @property {{streams: string[]}} gap entries of these streams were missed; the inbox is loaded again by itself
 * @property {{unread: number | null, unseen: number | null}} counts
 * @property {unknown} tokenError what the token function has thrown
 * @property {{action: import('./inbox/actions.js').Action, problem: import('./rest/problem.js').HeraldProblem}} refused
 *   an action of the inbox
 *
 * @typedef {HeraldEvents & {[event: `broadcast:${string}`]: ServerObject}} AllEvents
 */

const isBrowser = 'document' in globalThis || 'WorkerGlobalScope' in globalThis;

/** A client of Herald. It connects when it is created. */
export class Herald {
  /** The state of the connection. @type {State} */
  state = { state: 'connecting', reason: 'not started' };
  /** @type {Emitter<AllEvents>} */
  #events = new Emitter();
  /** What the parts of the client receive. @type {Emitter<{object: ServerObject}>} */
  #objects = new Emitter();
  #unwatch;
  #isClosed = false;
  #connection;

  /** @param {HeraldOptions} options */
  constructor(options) {
    const { user = null, feeds = null, types = null, transport = 'auto', tabs = isBrowser, timing } = options;
    const { WebSocket = globalThis.WebSocket } = options;
    const base = baseOf(options.url);
    const token = new Token(options.token);
    const storage = openStorage(options.storage);
    /** Requests to the REST API. */
    this.rest = new Rest({ base, token, user, fetch: options.fetch });
    /** What the user wants to receive. */
    this.preferences = new PreferencesClient(this.rest);
    /** The inbox of the user. */
    this.inbox = new Inbox({
      ...options.inbox,
      rest: this.rest,
      subscribeObjects: (listener) => this.#objects.on('object', listener),
      subscribeState: (listener) => this.on('state', listener),
    });
    for (const event of /** @type {const} */ (['refused', 'counts'])) this.inbox.on(event, (value) => this.#events.emit(event, value));
    this.#unwatch = watchPage({
      woke: () => this.#connection.wake(),
      offline: () => this.#connection.offline(),
      left: () => this.#connection.leave(),
      returned: () => this.state.state !== 'stopped' && this.#connection.start(),
    });
    const request = { base, user, feeds, types, WebSocket, fetch: this.rest.fetch, rest: this.rest };
    this.#connection = new SharedConnection({
      connection: { request, token, transport, storage, timing, onTokenError: (error) => this.#events.emit('tokenError', error) },
      isShared: tabs,
      deliver: (object, isNew) => this.#deliver(object, isNew),
      onState: (state) => this.#setState(state),
      totals: () => this.inbox.getSnapshot(),
    });
    this.#connection.start();
  }

  /**
   * Call `listener` for each event of this name.
   * @template {keyof AllEvents} Name
   * @param {Name} event
   * @param {(value: AllEvents[Name]) => void} listener
   * @returns {() => void} ends the subscription
   */
  on(event, listener) {
    return this.#events.on(event, listener);
  }

  /** Connect now: after the state `stopped`, or without the rest of the wait. */
  connect() {
    if (this.#isClosed) return;
    if (this.state.state === 'stopped') this.#connection.start();
    else this.#connection.wake();
  }

  /** Stop, in all tabs, and clear what is stored of this user. Make another client for the next user. */
  signOut() {
    this.#connection.signOut();
    this.close();
  }

  /** End this client. Other tabs stay connected. */
  close() {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#unwatch();
    this.#connection.leave();
    this.inbox.close();
    if (this.state.state !== 'stopped') this.#setState({ state: 'stopped', reason: 'closed' });
  }

  /** @param {State} state */
  #setState(state) {
    this.state = state;
    if (state.signedOut) this.inbox.clear();
    this.#events.emit('state', state);
  }

  /**
   * @param {ServerObject} object
   * @param {boolean} isNew
   */
  #deliver(object, isNew) {
    this.#objects.emit('object', object);
    const { kind, stream } = object;
    if (kind === 'notification') this.#events.emit(isNew ? 'notification' : 'change', object);
    else if (kind === 'broadcast') {
      this.#events.emit('broadcast', object);
      this.#events.emit(`broadcast:${stream}`, object);
    } else if (['read', 'unread', 'archived', 'seen'].includes(kind)) this.#events.emit('change', object);
    else if (kind === 'gap') this.#events.emit('gap', { streams: [stream] });
    else if (kind === 'hello' && object.gap?.length) this.#events.emit('gap', { streams: object.gap });
  }
}

/**
 * Make a client, which connects at once.
 * @param {HeraldOptions} options
 */
export const createHerald = (options) => new Herald(options);
