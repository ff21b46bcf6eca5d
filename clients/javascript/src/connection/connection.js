import { Attempt } from './attempt.js';
import { waitAfter } from './backoff.js';
import { SIGNED_OUT } from './close_codes.js';
import { TIMING } from './options.js';
import { isOffline } from './page_events.js';
import { NoToken } from './token.js';
import { TokenRefresh } from './token_refresh.js';
import { TransportChoice, TRANSPORTS } from './transport_choice.js';

/**
 * @typedef {import('./close_codes.js').End} End
 * @typedef {import('./options.js').State} State
 * @typedef {import('./positions.js').ServerObject} ServerObject
 * @typedef {import('./transport_choice.js').TransportName} TransportName
 */

/** Keeps a connection to Herald: connects, resumes, waits, changes the transport, until it is stopped. */
export class Connection {
  /** @type {State} */
  state = { state: 'connecting', reason: 'not started' };
  #options;
  #timing;
  #choice;
  /** @type {Attempt | null} */
  #current = null;
  /** A better transport that is tried while the present one works. @type {Attempt | null} */
  #better = null;
  /** @type {TokenRefresh | null} */
  #refresh = null;
  #isRunning = false;
  #failures = 0;
  #isCursorInAddress = false;
  /** Another object after each attempt, and when the connection is paused. */
  #turn = {};
  #isAskedToWait = false;
  #lastCheck = 0;
  /** @type {any} */
  #waitTimer;
  /** @type {any} */
  #upgradeTimer;
  /** @type {any} */
  #checkTimer;

  /** @param {import('./options.js').ConnectionOptions} options */
  constructor(options) {
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
    this.#choice = new TransportChoice(options.transport, options.storage, `transport ${options.request.base}`, this.#timing.rememberMs);
  }

  /** Connect, with the transport that has worked lately. */
  async start() {
    const turn = (this.#turn = {});
    this.#isRunning = true;
    await this.#choice.load();
    if (turn !== this.#turn) return;
    this.#lastCheck = Date.now();
    this.#checkTimer = setInterval(() => this.check(), this.#timing.checkMs);
    void this.#connect();
  }

  /** Close the connection until `start` is called. */
  pause() {
    this.#turn = {};
    this.#isRunning = false;
    clearInterval(this.#checkTimer);
    this.#close();
  }

  /** Connect now, if the client waits for the next attempt, unless the server has asked it to wait. */
  wake() {
    this.check();
    if (this.#isRunning && this.state.retryAt && !this.#isAskedToWait) void this.#connect();
  }

  /** There is no network. */
  offline() {
    this.#current?.end({ reason: 'no network' });
  }

  /** End a connection that is dead, and connect if it is time to: browsers delay the timers of tabs that are not visible. */
  check() {
    if (!this.#isRunning) return;
    const now = Date.now();
    if (Number(this.state.retryAt) <= now) void this.#connect();
    const hasSlept = now - this.#lastCheck > 3 * this.#timing.checkMs;
    this.#lastCheck = now;
    if (hasSlept) setTimeout(() => this.#current?.checkSilence(), this.#timing.graceMs);
    else this.#current?.checkSilence();
  }

  async #connect() {
    this.#close();
    const turn = (this.#turn = {});
    this.#setState({ state: 'connecting', reason: this.state.reason });
    try {
      const token = await this.#options.token.current();
      if (turn !== this.#turn || !this.#options.identify(token)) return;
      this.#current = this.#attempt(this.#choice.name, token);
    } catch (error) {
      if (turn === this.#turn) this.#tokenFailed(error);
    }
  }

  /** @param {unknown} error */
  #tokenFailed(error) {
    this.#options.onTokenError(error);
    const reason = error instanceof Error ? error.message : String(error);
    if (error instanceof NoToken) this.#stop({ reason, reaction: 'stop' }, true);
    else this.#wait({ reason });
  }

  /**
   * @param {TransportName} name
   * @param {string | null} token
   */
  #attempt(name, token) {
    const resume = this.#options.resumePoint();
    const isCursorInAddress = this.#isCursorInAddress;
    const request = { ...this.#options.request, token, resume, isCursorInAddress, pollMs: this.#timing.pollMs };
    /** @type {Attempt} */
    const attempt = new Attempt(TRANSPORTS[name], request, this.#timing.openMs, {
      started: () => this.#started(attempt, name),
      received: (objects) => {
        if (attempt.hasSucceeded) this.#failures = 0;
        this.#options.received(objects);
      },
      replied: (object) => this.#replied(object),
      ended: (end) => (attempt === this.#better ? void this.#tryBetter(name) : this.#ended(attempt, end)),
    });
    return attempt;
  }

  /**
   * @param {Attempt} attempt
   * @param {TransportName} transport
   */
  #started(attempt, transport) {
    if (attempt === this.#better) this.#better = null;
    if (attempt !== this.#current) this.#close();
    this.#current = attempt;
    this.#choice.hasWorked(transport);
    this.#setState({ state: 'live', reason: 'connected', transport, feedsPaused: transport === 'polling' });
    this.#refresh?.stop();
    this.#refresh = new TokenRefresh(this.#options.token, (auth) => attempt.send({ auth }), this.#options.onTokenError);
    if (transport === 'websocket') this.#refresh.start();
    this.#tryBetterIn(Math.max(this.#timing.upgradeMs, this.#choice.until - Date.now()));
  }

  /** @param {number} ms */
  #tryBetterIn(ms) {
    clearTimeout(this.#upgradeTimer);
    if (this.#choice.better.length) this.#upgradeTimer = setTimeout(() => void this.#tryBetter(), ms);
  }

  /** @param {TransportName} [failed] the better transport that was tried last */
  async #tryBetter(failed) {
    this.#better = null;
    const { better } = this.#choice;
    const name = better[failed ? better.indexOf(failed) + 1 : 0];
    if (!name) {
      this.#choice.keep();
      return this.#tryBetterIn(this.#timing.rememberMs);
    }
    const turn = this.#turn;
    const token = await this.#options.token.current().catch(() => undefined);
    if (turn === this.#turn && this.#current?.isLive && token !== undefined) this.#better = this.#attempt(name, token);
  }

  /** @param {ServerObject} object */
  #replied({ kind, code, expires_at: expiresAt }) {
    if (kind === 'auth') this.#refresh?.accepted(expiresAt);
    else if (kind === 'error' && code === 'unavailable') this.#refresh?.unchecked();
  }

  /**
   * @param {Attempt} attempt
   * @param {End} end
   */
  #ended(attempt, end) {
    if (attempt !== this.#current) return;
    this.#current = null;
    const { token } = this.#options;
    if (end.reaction === 'stop' || (end.reaction === 'new-token' && !token.isRenewable)) return this.#stop(end);
    if (end.reaction === 'new-token') token.discard();
    if (end.late) this.#isCursorInAddress = true;
    if (end.unusable && !attempt.isLive) this.#choice.failed(this.#failures + 1);
    this.#wait(end);
  }

  /** @param {End} end */
  #wait(end) {
    this.#close();
    this.#failures += 1;
    this.#isAskedToWait = end.wait !== undefined;
    const state = isOffline() ? 'offline' : 'waiting';
    const ms = Math.max(state === 'offline' ? this.#timing.offlineMs : 0, waitAfter(end, this.#failures));
    const { reason, code } = end;
    this.#setState({ state, reason, code, retryAt: Date.now() + ms });
    this.#waitTimer = setTimeout(() => void this.#connect(), ms);
  }

  /**
   * @param {End} end
   * @param {boolean} [signedOut]
   */
  #stop({ reason, code }, signedOut = code === SIGNED_OUT) {
    this.pause();
    this.#setState({ state: 'stopped', reason, code, signedOut });
  }

  #close() {
    clearTimeout(this.#waitTimer);
    clearTimeout(this.#upgradeTimer);
    this.#refresh?.stop();
    this.#refresh = null;
    this.#better?.close();
    this.#current?.close();
    this.#better = this.#current = null;
  }

  /** @param {State} state */
  #setState(state) {
    this.state = state;
    this.#options.onState(state);
  }
}
