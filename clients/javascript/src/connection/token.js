/** A token that expires within this time is not used for a new connection. */
const MIN_VALIDITY_MS = 5_000;

/**
 * @typedef {string | null | undefined} TokenValue null or undefined: nobody is signed in
 * @typedef {TokenValue | (() => TokenValue | Promise<TokenValue>)} TokenSource
 */

/** There is no token any more: the function that returns it has returned none, or one of another user. */
export class NoToken extends Error {}

/** The current token, and the function that returns a new one. All parts of the client share it. */
export class Token {
  /** @type {(() => TokenValue | Promise<TokenValue>) | null} */
  #source;
  /** @type {string | null} */
  #text = null;
  /** Milliseconds since 1970; Infinity if it is not known. */
  expiresAt = Infinity;
  /** Of the first token. @type {string | null} */
  #user = null;
  /** @type {Promise<string> | null} */
  #renewal = null;
  #now;

  /**
   * @param {TokenSource} source
   * @param {() => number} [now] milliseconds since 1970
   */
  constructor(source, now = Date.now) {
    this.#now = now;
    this.#source = typeof source === 'function' ? source : null;
    if (typeof source === 'string') this.#set(source);
  }

  /** Whether a new token can be obtained. */
  get isRenewable() {
    return this.#source !== null;
  }

  /** Whether the client has a token, or a function that returns one. */
  get isUsed() {
    return this.isRenewable || this.#text !== null;
  }

  /** The token as it is, without obtaining one. */
  get text() {
    return this.#text;
  }

  /**
   * The token for a new request or connection; null for a client without one.
   * @returns {Promise<string | null>}
   */
  async current() {
    const valid = this.#text !== null && this.expiresAt - this.#now() >= MIN_VALIDITY_MS;
    return valid || !this.#source ? this.#text : this.renew();
  }

  /**
   * Obtain a new token. Calls at the same time share one call of the function.
   * @returns {Promise<string | null>}
   */
  async renew() {
    const source = this.#source;
    if (!source) return this.#text;
    this.#renewal ??= this.#obtain(source).finally(() => (this.#renewal = null));
    return this.#renewal;
  }

  /** @param {() => TokenValue | Promise<TokenValue>} source */
  async #obtain(source) {
    const value = await source();
    if (!value) throw new NoToken('Nobody is signed in');
    const user = userOf(value);
    if (this.#user !== null && user !== null && user !== this.#user) throw new NoToken('Another user has signed in');
    if (value !== this.#text) this.#set(value);
    return value;
  }

  /** Forget a token that the server has refused. */
  discard() {
    if (!this.#source) return;
    this.#text = null;
    this.expiresAt = Infinity;
  }

  /** @param {string} text */
  #set(text) {
    this.#text = text;
    this.#user ??= userOf(text);
    const expiry = claims(text)?.exp;
    this.expiresAt = typeof expiry === 'number' ? expiry * 1000 : Infinity;
  }
}

/**
 * The user of a token, if it is a JWT: subject and issuer. Herald alone checks tokens; this only keeps users apart.
 * @param {string | null} token
 * @returns {string | null}
 */
export function userOf(token) {
  const { sub, iss } = (token !== null && claims(token)) || {};
  return sub === undefined || sub === null ? null : JSON.stringify([sub, iss]);
}

/**
 * @param {string} token
 * @returns {Record<string, any> | null} null if it is not a JWT
 */
function claims(token) {
  try {
    const body = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(body), (character) => character.charCodeAt(0));
    const decoded = JSON.parse(new TextDecoder().decode(bytes));
    return typeof decoded === 'object' ? decoded : null;
  } catch {
    return null;
  }
}
