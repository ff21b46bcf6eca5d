import { Emitter } from '../events.js';
import { ActionQueue } from './action_queue.js';
import { applied, changesOf, requestOf } from './actions.js';
import { Counts } from './counts.js';
import { changeOf, fromRest, fromStream } from './item.js';
import { ItemList } from './item_list.js';
import { KnownItems } from './known_items.js';
import { Pages } from './pages.js';

/**
 * @typedef {import('./item.js').Item} Item
 * @typedef {import('./actions.js').Action} Action
 * @typedef {import('./pages.js').Filter} Filter
 * @typedef {import('../rest/problem.js').HeraldProblem} HeraldProblem
 * @typedef {Record<string, any> & {kind: string}} ServerObject
 *
 * @typedef {object} Snapshot What the inbox is now. A snapshot never changes: after a change there is another one.
 * @property {ItemList} items the loaded notifications, newest first
 * @property {boolean} hasMore whether `loadMore` finds older ones
 * @property {boolean} isLoading
 * @property {HeraldProblem | null} problem why the list could not be loaded
 * @property {number | null} unread the unread total of the whole inbox; null until the server has sent it
 * @property {number | null} unseen null also for servers that do not count it
 * @property {number} pending how many actions the server has not confirmed
 * @property {Filter} filter
 *
 * @typedef {object} InboxEvents
 * @property {{action: Action, problem: HeraldProblem}} refused the server has refused an action, and the list is again
 *   as it was before it
 * @property {{unread: number | null, unseen: number | null}} counts the totals of the inbox have changed
 *
 * @typedef {object} InboxOptions
 * @property {import('../rest/preferences.js').Requests} rest
 * @property {(listener: (object: ServerObject) => void) => () => void} subscribeObjects
 * @property {(listener: (state: {state: string}) => void) => () => void} subscribeState
 * @property {Filter} [filter]
 * @property {number} [pageSize]
 */

/** The inbox of the user: a list that follows the server. `load`, or the first `subscribe`, loads it. */
export class Inbox {
  #rest;
  #counts = new Counts(() => this.#events.emit('counts', { unread: this.#counts.unread, unseen: this.#counts.unseen }));
  #known = new KnownItems();
  #list = ItemList.empty;
  #pages;
  #actions;
  #subscriptions;
  /** @type {Emitter<InboxEvents>} */
  #events = new Emitter();
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** @type {Snapshot | null} */
  #snapshot = null;
  #isNotifying = false;
  /** @type {string | null} */
  #epoch = null;

  /** @param {InboxOptions} options */
  constructor({ rest, subscribeObjects, subscribeState, filter = {}, pageSize = 20 }) {
    this.#rest = rest;
    const receiver = {
      known: () => this.#known,
      replaced: (/** @type {KnownItems} */ known) => {
        this.#known = known;
        this.#placeAll();
      },
      added: (/** @type {string[]} */ ids) => ids.forEach((id) => this.#place(id)),
      changed: () => this.#changed(),
    };
    this.#pages = new Pages({ rest, counts: this.#counts, receiver, filter, pageSize });
    this.#actions = new ActionQueue({
      send: (action) => this.#send(action),
      ended: (action) => this.#placeFor(action),
      refused: (action, problem) => this.#events.emit('refused', { action, problem }),
    });
    this.#subscriptions = [
      subscribeObjects((object) => this.#receive(object)),
      subscribeState(({ state }) => {
        if (state !== 'live') return;
        this.#pages.resume();
        this.#actions.resume();
      }),
    ];
  }

  /**
   * Call `listener` after each change, and load the list. Several changes at the same time lead to one call.
   * @param {() => void} listener
   * @returns {() => void} ends the subscription
   */
  subscribe = (listener) => {
    const own = () => listener();
    this.#listeners.add(own);
    void this.#pages.load();
    return () => void this.#listeners.delete(own);
  };

  /**
   * What the inbox is now. The same object while nothing changes.
   * @returns {Snapshot}
   */
  getSnapshot = () => {
    const { hasMore, isLoading, problem, filter } = this.#pages;
    const { unread, unseen } = this.#counts;
    const pending = this.#actions.length;
    return (this.#snapshot ??= Object.freeze({ items: this.#list, hasMore, isLoading, problem, unread, unseen, pending, filter }));
  };

  /**
   * @template {keyof InboxEvents} Name
   * @param {Name} event
   * @param {(value: InboxEvents[Name]) => void} listener
   * @returns {() => void} ends the subscription
   */
  on(event, listener) {
    return this.#events.on(event, listener);
  }

  /** Load the first page, unless that was done. */
  load() {
    return this.#pages.load();
  }

  /** Load the next older page. */
  loadMore() {
    return this.#pages.loadMore();
  }

  /**
   * Show only some of the notifications.
   * @param {Filter} filter
   */
  async setFilter(filter) {
    const loaded = this.#pages.setFilter(Object.freeze({ ...filter }));
    this.#placeAll(); // What is known already is shown at once.
    await loaded;
  }

  /** @param {string} id */
  markRead(id) {
    return this.#act({ kind: 'read', id });
  }

  /** @param {string} id */
  markUnread(id) {
    return this.#act({ kind: 'unread', id });
  }

  /** @param {string} id */
  archive(id) {
    return this.#act({ kind: 'archive', id });
  }

  /**
   * Mark everything up to this `seq` as read, whatever the filter.
   * @param {number} [upTo] the newest loaded notification if it is left out: those that arrive meanwhile stay unread
   */
  markAllRead(upTo = this.#list.at(0)?.seq) {
    return this.#act({ kind: 'readAll', upTo });
  }

  /**
   * Record that the user has seen everything up to this `seq`. Nothing is marked as read.
   * @param {number} [upTo] the newest loaded notification if it is left out
   */
  markSeen(upTo = this.#list.at(0)?.seq) {
    return this.#act({ kind: 'seen', upTo });
  }

  /** Forget everything, because the user has signed out. */
  clear() {
    this.#pages.close();
    this.#actions.clear();
    this.#counts.clear();
    this.#known = new KnownItems();
    this.#list = ItemList.empty;
    this.#changed();
  }

  /** Follow the server no longer. */
  close() {
    this.#subscriptions.forEach((unsubscribe) => unsubscribe());
    this.#pages.close();
    this.#actions.clear();
    this.#listeners.clear();
  }

  /** @param {ServerObject} object */
  #receive(object) {
    if (object.kind === 'hello') this.#start(object);
    else if (object.stream !== 'inbox') return;
    else if (object.kind === 'gap') this.#pages.restart();
    else {
      this.#counts.fromStream(object, object.changed ?? object.seq);
      const { isWanted } = this.#pages;
      if (isWanted && object.kind === 'notification') this.#put(fromStream(object));
      else if (isWanted && ['read', 'unread', 'archived'].includes(object.kind)) this.#change(object);
    }
    this.#changed();
  }

  /** @param {ServerObject} hello */
  #start({ positions = {}, gap = [], epoch, resumed, ...hello }) {
    if (!('inbox' in positions)) return;
    this.#counts.fromHello(hello, epoch !== this.#epoch);
    this.#epoch = epoch;
    if (!resumed || gap.includes('inbox')) this.#pages.restart();
  }

  /** @param {Item} item */
  #put(item) {
    this.#pages.fresh?.put(item);
    const before = this.#known.get(item.id);
    this.#known.put(item);
    this.#place(item.id, before);
  }

  /** @param {ServerObject} object */
  #change(object) {
    const change = changeOf(object);
    this.#pages.fresh?.change(change);
    const before = this.#known.get(change.id);
    this.#known.change(change);
    if (before) this.#place(change.id, before);
    if (!change.archived && change.read === this.#pages.filter.read) this.#find(change.id, object.seq);
  }

  /**
   * A notification matches the filter now. If its content is not known, because it did not match before, load the list.
   * @param {string} id
   * @param {number} seq
   */
  #find(id, seq) {
    const { fresh, floor, isLoading } = this.#pages;
    const isKnown = this.#known.get(id) && (!fresh || fresh.get(id));
    if (!isKnown && (seq >= floor || isLoading)) this.#pages.missed();
  }

  /**
   * @param {Action} action
   * @returns {Promise<boolean>} whether the server has accepted it; false if it was refused, or the client was closed
   */
  #act(action) {
    const result = this.#actions.add(action);
    this.#placeFor(action);
    return result;
  }

  /** @param {Action} action */
  async #send(action) {
    const { version } = this.#counts;
    const changes = changesOf(action, this.#known);
    const response = await this.#rest.request(...requestOf(action));
    this.#counts.fromResponse(response ?? {}, version);
    const row = action.kind === 'read' || action.kind === 'unread' ? fromRest(response) : null;
    for (const known of [this.#known, this.#pages.fresh]) {
      // One that is not known any more has been archived since the request.
      if (row && known?.get(row.id)) known.put(row);
      for (const change of changes) known?.change(change);
    }
  }

  /** @param {Action} action */
  #placeFor(action) {
    if (action.kind === 'readAll') this.#placeAll();
    else if (action.id !== undefined) this.#place(action.id);
    this.#changed();
  }

  #placeAll() {
    const items = [...this.#known.values()].map((item) => this.#shown(item)).filter((item) => item !== null);
    this.#list = ItemList.of(items);
  }

  /**
   * Show a notification as it is now.
   * @param {string} id
   * @param {Item} [before] as it was known before
   */
  #place(id, before) {
    const item = this.#known.get(id);
    const shown = item && this.#shown(item);
    for (const old of [before, item]) {
      if (old && old.seq !== shown?.seq) this.#list = this.#list.without(old.seq);
    }
    if (shown) this.#list = this.#list.with(shown);
  }

  /**
   * @param {Item} item
   * @returns {Item | null} as the list has it, after the actions that are not confirmed; null if it has not
   */
  #shown(item) {
    const { floor, filter } = this.#pages;
    if (item.seq < floor || (filter.type ?? item.type) !== item.type) return null;
    /** @type {Item | null} */
    let shown = item;
    for (const action of this.#actions.pending) shown &&= applied(action, shown);
    return shown && (filter.read ?? shown.read) === shown.read ? shown : null;
  }

  #changed() {
    this.#snapshot = null;
    if (this.#isNotifying) return;
    this.#isNotifying = true;
    queueMicrotask(() => {
      this.#isNotifying = false;
      for (const listener of [...this.#listeners]) listener();
    });
  }
}
