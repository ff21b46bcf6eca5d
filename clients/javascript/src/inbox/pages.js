import { HeraldProblem } from '../rest/problem.js';
import { fromRest } from './item.js';
import { KnownItems } from './known_items.js';

/**
 * @typedef {import('../rest/preferences.js').Requests} Requests
 * @typedef {{type?: string, read?: boolean}} Filter only this type; only read, or only unread notifications
 *
 * @typedef {object} Receiver
 * @property {() => KnownItems} known the items to which another page is added
 * @property {(known: KnownItems) => void} replaced the list was loaded anew
 * @property {(ids: string[]) => void} added another page was loaded
 * @property {() => void} changed
 */

const PATH = 'api/v2/notifications';
const MAX_LIMIT = 100;
const RETRY_S = 5;

/** Loads the list, page by page, and loads it anew when entries were missed. */
export class Pages {
  /** Only notifications from this `seq` on are in the list; older ones come with the next page. */
  floor = Infinity;
  /** Whether the list was asked for. */
  isWanted = false;
  /** @type {HeraldProblem | null} */
  problem = null;
  /** While the list is loaded anew: what the stream sends is put here, too. @type {KnownItems | null} */
  fresh = null;
  /** @type {Filter} */
  filter;
  #options;
  /** @type {string | null} */
  #next = null;
  #loaded = 0;
  /** @type {AbortController | null} the request on its way */
  #loading = null;
  #isOutdated = false;
  /** Resolved when nothing is being loaded any more. */
  #done = Promise.resolve();
  /** @type {any} */
  #timer;

  /**
   * @param {object} options
   * @param {Requests} options.rest
   * @param {import('./counts.js').Counts} options.counts
   * @param {Receiver} options.receiver
   * @param {Filter} options.filter
   * @param {number} options.pageSize
   */
  constructor(options) {
    this.#options = options;
    this.filter = options.filter;
  }

  get hasMore() {
    return this.#next !== null;
  }

  get isLoading() {
    return this.#loading !== null;
  }

  /** Load the first page, unless that was done. Resolved when it is loaded, or when it has failed. */
  async load() {
    if (!this.isWanted) return this.reload();
    return this.#done;
  }

  /** Load again as much as is loaded. What is shown stays until then. */
  async reload() {
    this.isWanted = true;
    const abort = this.#begin();
    const known = (this.fresh = new KnownItems());
    known.requestStarted();
    await this.#run(abort, async () => {
      const target = Math.min(this.#loaded, 10 * MAX_LIMIT);
      let [floor, next, loaded] = [Infinity, /** @type {string | null} */ (null), 0];
      do {
        const limit = Math.min(Math.max(target - loaded, this.#options.pageSize), MAX_LIMIT);
        const page = await this.#page(next, limit, abort.signal);
        page.items.forEach((item) => known.put(item));
        [floor, next] = [page.floor, page.next];
        loaded += page.items.length;
      } while (next !== null && loaded < target);
      this.fresh = null;
      [this.floor, this.#next, this.#loaded] = [floor, next, loaded];
      this.#options.receiver.replaced(known);
      known.requestEnded();
    });
  }

  /** Load the next page. */
  async loadMore() {
    const next = this.#next;
    if (next === null || this.#loading) return;
    const abort = this.#begin();
    const known = this.#options.receiver.known();
    known.requestStarted();
    await this.#run(abort, async () => {
      const page = await this.#page(next, this.#options.pageSize, abort.signal);
      page.items.forEach((item) => known.put(item));
      [this.floor, this.#next] = [Math.min(this.floor, page.floor), page.next];
      this.#loaded += page.items.length;
      this.#options.receiver.added(page.items.map(({ id }) => id));
    });
    known.requestEnded();
  }

  /** @param {Filter} filter */
  async setFilter(filter) {
    this.filter = filter;
    this.#loaded = 0;
    await this.reload();
  }

  /** Notifications of the list are not known: load it anew, once the present request has ended. */
  missed() {
    if (this.#loading) this.#isOutdated = true;
    else if (this.isWanted) void this.reload();
  }

  /** Try again what has failed. */
  resume() {
    if (this.problem?.isTemporary) void this.reload();
  }

  /** Load the list anew, because the stream does not continue from it. */
  restart() {
    if (this.isWanted) void this.reload();
  }

  close() {
    this.#begin();
    this.isWanted = false;
    this.#done = Promise.resolve();
  }

  /** End the request on its way, and return the controller of the next one. */
  #begin() {
    clearTimeout(this.#timer);
    this.#loading?.abort();
    this.#loading = null;
    this.#isOutdated = false;
    this.fresh = null;
    return new AbortController();
  }

  /**
   * @param {AbortController} abort
   * @param {() => Promise<void>} load
   * @returns {Promise<void>}
   */
  #run(abort, load) {
    return (this.#done = this.#perform(abort, load));
  }

  /**
   * @param {AbortController} abort
   * @param {() => Promise<void>} load
   * @returns {Promise<void>}
   */
  async #perform(abort, load) {
    this.#loading = abort;
    this.#options.receiver.changed();
    /** @type {HeraldProblem | null} */
    let problem = null;
    try {
      await load();
    } catch (error) {
      // Another request has taken its place: the caller waits for that one.
      if (abort.signal.aborted) return this.#done;
      this.fresh = null;
      problem = error instanceof HeraldProblem ? error : new HeraldProblem({ status: 0, code: 'no_token', title: String(error) });
    }
    if (abort.signal.aborted) return this.#done;
    this.problem = problem;
    this.#loading = null;
    this.#options.receiver.changed();
    if (problem?.isTemporary) {
      this.#timer = setTimeout(() => void this.reload(), (problem.retryAfter ?? RETRY_S) * 1000);
    } else if (this.#isOutdated) void this.reload();
  }

  /**
   * @param {string | null} cursor
   * @param {number} limit
   * @param {AbortSignal} signal
   */
  async #page(cursor, limit, signal) {
    const { rest, counts } = this.#options;
    const { version } = counts;
    const query = { limit, cursor, type: this.filter.type, is_read: this.filter.read };
    const { data, meta } = await rest.request('GET', PATH, { query, signal });
    counts.fromResponse(meta, version);
    const items = /** @type {import('./item.js').Item[]} */ (data.map(fromRest));
    return { items, next: meta.next_cursor, floor: meta.next_cursor === null ? 0 : (items.at(-1)?.seq ?? 0) };
  }
}
