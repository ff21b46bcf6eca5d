import { isVisible } from '../connection/page_events.js';

/**
 * @typedef {import('../connection/positions.js').ServerObject} ServerObject
 * @typedef {import('../connection/options.js').State} State
 *
 * @typedef {object} GroupHandlers
 * @property {() => void} lead this tab keeps the connection from now on
 * @property {() => void} follow another tab has taken over: close the connection
 * @property {(objects: ServerObject[]) => void} received objects that the leader has received
 * @property {(state: State) => void} onState the state of the leader's connection
 * @property {() => void} ask at least each second while another tab is visible
 * @property {() => void} wake connect now, because the user came to another tab
 * @property {() => void} signedOut
 * @property {() => {state: State, summary: ServerObject | null}} present what a tab needs to continue from here
 */

const TIMING = {
  /** Between two questions of a visible follower, whether the leader is there. */
  askMs: 1_000,
  /** The longest time until an answer. */
  answerMs: 400,
};

/** A leader that does not answer so many questions in a row is replaced. */
const MAX_UNANSWERED = 2;

/**
 * The tabs that share one connection. One of them, the leader, holds a lock and keeps the connection. It sends what it
 * receives to the others.
 */
export class TabGroup {
  #id = Math.random().toString(36).slice(2);
  /** @type {string | null} */
  #leader = null;
  /** Whether this tab knows what it needs to continue from what the leader sends. */
  #isWelcome = false;
  #unanswered = 0;
  #isJoined = true;
  /** Gives the lock back. @type {() => void} */
  #release = () => {};
  #queued = new AbortController();
  #name;
  #channel;
  #handlers;
  #timing;
  /** @type {any} */
  #answerTimer;
  #askTimer;

  /**
   * @param {string} name of the group
   * @param {GroupHandlers} handlers
   * @param {Partial<typeof TIMING>} [timing]
   */
  constructor(name, handlers, timing) {
    this.#name = name;
    this.#handlers = handlers;
    this.#timing = { ...TIMING, ...timing };
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = (/** @type {MessageEvent} */ { data }) => this.#receive(data);
    this.send({ type: 'join' });
    this.#queue({ signal: this.#queued.signal });
    this.#askTimer = setInterval(() => this.ask(), this.#timing.askMs);
  }

  get isLeader() {
    return this.#leader === this.#id;
  }

  /** Leave the group. If this tab is the leader, the one that waits longest takes over. */
  leave() {
    this.#isJoined = false;
    this.#leader = null;
    clearInterval(this.#askTimer);
    clearTimeout(this.#answerTimer);
    this.#queued.abort();
    this.#release();
    this.#channel.close();
  }

  /** Ask whether the leader is there, if the user sees this tab: browsers slow down the timers of other tabs. */
  ask() {
    clearTimeout(this.#answerTimer);
    if (!this.#isJoined || this.isLeader || !isVisible()) return;
    this.send({ type: 'ask' });
    this.#answerTimer = setTimeout(() => {
      this.#unanswered += 1;
      if (this.#unanswered >= MAX_UNANSWERED) this.#steal();
    }, this.#timing.answerMs);
  }

  #steal() {
    this.#unanswered = 0;
    this.#queued.abort();
    this.#queue({ steal: true });
  }

  /** @param {{steal?: boolean, signal?: AbortSignal}} options */
  #queue(options) {
    const granted = () => this.#isJoined && this.#lead();
    const ended = () => this.#isJoined && !options.signal?.aborted && this.#follow();
    // Pages without an origin of their own have no locks: they do not share a connection.
    const refused = (/** @type {Error} */ { name }) => (name === 'AbortError' ? ended() : granted());
    navigator.locks.request(this.#name, options, granted).then(ended, refused);
  }

  /** @returns {Promise<void>} resolved when the lock is to be given back */
  #lead() {
    this.#leader = this.#id;
    this.#isWelcome = true;
    this.send({ type: 'leader' });
    this.#handlers.lead();
    return new Promise((resolve) => (this.#release = resolve));
  }

  /** The lock was stolen: wait for it again. */
  #follow() {
    if (this.isLeader) this.#resign();
    this.#queued = new AbortController();
    this.#queue({ signal: this.#queued.signal });
  }

  #resign() {
    this.#leader = null;
    this.#release();
    this.#handlers.follow();
  }

  /** @param {{type: string, from: string, to?: string, [name: string]: any}} message */
  #receive({ type, from, to, ...message }) {
    if (!this.#isJoined || (to !== undefined && to !== this.#id)) return;
    if (type === 'sign-out') this.#handlers.signedOut();
    else if (type === 'leader') {
      this.#heard();
      if (this.isLeader) this.#resign();
      this.#leader = from;
      if (!this.#isWelcome) this.send({ type: 'join' });
    } else if (this.isLeader) {
      if (type === 'join') this.send({ type: 'welcome', to: from, ...this.#handlers.present() });
      if (type === 'ask' || type === 'wake') {
        this.#handlers[type]();
        this.send({ type: 'here' });
      }
    } else if (type === 'welcome' && !this.#isWelcome) {
      this.#heard();
      this.#leader = from;
      this.#isWelcome = true;
      this.#handlers.onState(message.state);
      if (message.summary) this.#handlers.received([message.summary]);
    } else if (from === this.#leader && this.#isWelcome) {
      // Objects of a leader that was replaced come again from its successor.
      this.#heard();
      if (type === 'objects') this.#handlers.received(message.objects);
      else if (type === 'state') this.#handlers.onState(message.state);
    }
  }

  #heard() {
    this.#unanswered = 0;
    clearTimeout(this.#answerTimer);
  }

  /**
   * Send something to the other tabs: `objects` and `state` are for those who follow this one.
   * @param {{type: 'objects', objects: ServerObject[]} | {type: 'state', state: State} | {type: string, to?: string}} message
   */
  send(message) {
    this.#channel.postMessage({ ...message, from: this.#id });
  }
}
