/**
 * What the client does after a connection has ended: the table "When to reconnect" of docs/clients.md.
 * @typedef {'reconnect' | 'new-token' | 'stop'} Reaction
 *
 * @typedef {object} End Why a connection ended, or was refused.
 * @property {string} reason in plain words
 * @property {number} [code] WebSocket close code or HTTP status, if there is one
 * @property {Reaction} reaction
 * @property {number} [wait] seconds to wait that the server asks for
 * @property {boolean} [jittered] the server asks each client for another time, so none is added to `wait`
 * @property {boolean} [unusable] this transport does not work here: the next one is tried
 * @property {boolean} [late] the server did not wait for the first frame: the cursor goes into the address
 */

/** The user has signed out. */
export const SIGNED_OUT = 4502;

/** The code of a connection that ended without a close frame. */
export const BROKEN = 1006;

const REASONS = new Map([
  [1000, 'closed without a reason'],
  [1001, 'the service is shutting down'],
  [1005, 'closed without a reason'],
  [BROKEN, 'the connection broke'],
  [1009, 'a message of this client is too large'],
  [1011, 'internal error of the service'],
  [1012, 'the service is restarting'],
  [4401, 'the token has expired'],
  [SIGNED_OUT, 'the user has signed out'],
]);

/**
 * @param {number} code WebSocket close code
 * @param {string} [reason]
 * @param {number | null} [reconnectIn] seconds, from `bye`
 * @returns {End}
 */
export function afterClose(code, reason, reconnectIn) {
  /** @type {Reaction} */
  let reaction = 'reconnect';
  if (code === 4401) reaction = 'new-token';
  else if (code === 1009 || (code >= 4500 && code <= 4999)) reaction = 'stop';
  const end = { code, reason: reason || REASONS.get(code) || `closed with ${code}`, reaction };
  return typeof reconnectIn === 'number' ? { ...end, wait: reconnectIn, jittered: true } : end;
}

/**
 * @param {number} status HTTP status of a refused request
 * @param {string | null} [retryAfter] value of the header `Retry-After`
 * @param {string} [reason]
 * @param {number} [now] milliseconds since 1970
 * @returns {End}
 */
export function afterStatus(status, retryAfter, reason, now = Date.now()) {
  /** @type {Reaction} */
  let reaction = 'stop';
  if (status === 401) reaction = 'new-token';
  else if (status === 204) return { code: SIGNED_OUT, reason: 'the user has signed out', reaction };
  else if (status >= 500 || [408, 425, 429].includes(status)) reaction = 'reconnect';
  return { code: status, reason: reason || `refused with ${status}`, reaction, wait: seconds(retryAfter, now) };
}

/**
 * @param {string | null | undefined} value seconds or an HTTP date
 * @param {number} now
 * @returns {number | undefined}
 */
function seconds(value, now) {
  if (!value) return undefined;
  if (/^\s*\d+\s*$/.test(value)) return Number(value);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - now) / 1000);
}
