import { addressOf } from '../address.js';
import { HeraldProblem, NOT_HERALD, UNREACHABLE, problemOf } from './problem.js';

/**
 * @typedef {{query?: import('../address.js').Query, body?: unknown, signal?: AbortSignal}} RequestOptions
 *
 * @typedef {object} SharedToken What of `Token` requests need.
 * @property {() => Promise<string | null>} current
 * @property {() => Promise<string | null>} renew
 * @property {boolean} isRenewable
 */

/** Sends requests to the REST API of Herald with the token of the client. */
export class Rest {
  #base;
  #token;
  #user;
  #timeoutMs;

  /**
   * @param {object} options
   * @param {URL} options.base where Herald is served, with a slash at the end
   * @param {SharedToken} options.token
   * @param {string | null} [options.user] who the requests are for, if the client has no token
   * @param {typeof globalThis.fetch} [options.fetch]
   * @param {number} [options.timeoutMs] the longest wait for a response
   */
  constructor({ base, token, user = null, fetch = globalThis.fetch, timeoutMs = 15_000 }) {
    this.#base = base;
    this.#token = token;
    this.#user = user;
    // Browsers refuse to call `fetch` as a method of another object.
    this.fetch = (/** @type {URL} */ address, /** @type {RequestInit} */ init) => fetch(address, init);
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Send a request and return the decoded response. A token that the server refuses is renewed once.
   * @param {string} method
   * @param {string} path relative to the address of Herald, such as `api/v2/notifications`
   * @param {RequestOptions} [options]
   * @returns {Promise<any>}
   * @throws {HeraldProblem}
   */
  async request(method, path, options = {}) {
    const token = await this.#token.current();
    const response = await this.#send(method, path, options, token);
    if (response.status !== 401 || !this.#token.isRenewable) return decoded(response);
    await response.body?.cancel();
    // Another request, or the connection, may have renewed it meanwhile.
    const current = await this.#token.current();
    return decoded(await this.#send(method, path, options, current === token ? await this.#token.renew() : current));
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {RequestOptions} options
   * @param {string | null} token
   */
  async #send(method, path, { query = {}, body, signal }, token) {
    const address = addressOf(this.#base, path.replace(/^\//, ''), { user_id: token === null ? this.#user : null, ...query });
    /** @type {Record<string, string>} */
    const headers = { accept: 'application/json' };
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (token !== null) headers.authorization = `Bearer ${token}`;
    const timeout = AbortSignal.timeout(this.#timeoutMs);
    try {
      return await this.fetch(address, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
        cache: 'no-store',
        // A redirect could send the token to another server.
        redirect: 'error',
      });
    } catch (cause) {
      if (signal?.aborted) throw cause;
      throw new HeraldProblem({ status: 0, code: UNREACHABLE, title: 'Herald is unreachable' }, { cause });
    }
  }
}

/** @param {Response} response */
async function decoded(response) {
  if (!response.ok) throw await problemOf(response);
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch (cause) {
    const { status } = response;
    throw new HeraldProblem({ status, code: NOT_HERALD, title: 'The response is not from Herald' }, { cause });
  }
}
