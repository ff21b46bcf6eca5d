/** A token is refreshed when three quarters of its remaining time are over, but not earlier than this before its end. */
const MAX_EARLY_MS = 60_000;
const MIN_PAUSE_MS = 1_000;
const RETRY_MS = 5_000;

/** The longest wait of a timer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Sends a new token on an open connection before the present one expires, because Herald closes the connection then. */
export class TokenRefresh {
  /** @type {any} */
  #timer;
  #isStopped = false;
  #token;
  #send;
  #failed;

  /**
   * @param {import('./token.js').Token} token
   * @param {(text: string) => void} send
   * @param {(error: unknown) => void} failed
   */
  constructor(token, send, failed) {
    this.#token = token;
    this.#send = send;
    this.#failed = failed;
  }

  /** Called after `hello`. If the expiry is not known, the token is sent once more: the response has it. */
  start() {
    if (!this.#token.isRenewable || this.#token.text === null) return;
    if (this.#token.expiresAt === Infinity) this.#send(this.#token.text);
    else this.#schedule();
  }

  /** @param {number | null} expiresAt seconds since 1970, as Herald has them */
  accepted(expiresAt) {
    if (expiresAt === null) return;
    this.#token.expiresAt = expiresAt * 1000;
    this.#schedule();
  }

  /** Herald could not check the token. */
  unchecked() {
    this.#refreshIn(RETRY_MS);
  }

  stop() {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #schedule() {
    const left = this.#token.expiresAt - Date.now();
    this.#refreshIn(Math.max(MIN_PAUSE_MS, left - Math.min(MAX_EARLY_MS, left / 4)));
  }

  /** @param {number} ms */
  #refreshIn(ms) {
    clearTimeout(this.#timer);
    if (this.#token.isRenewable) this.#timer = setTimeout(() => void this.#refresh(), Math.min(ms, MAX_TIMER_MS));
  }

  async #refresh() {
    const before = this.#token.text;
    const error = await this.#token.renew().then(() => null, (reason) => reason);
    if (this.#isStopped) return;
    if (error) this.#failed(error);
    // The old token is valid until it expires, so the function is called again until then.
    if (error || this.#token.text === before) this.#refreshIn(RETRY_MS);
    else this.#send(/** @type {string} */ (this.#token.text));
  }
}
