/**
 * What the client does after a connection has ended: the table "When to reconnect" of docs/clients.md.
 * @typedef {'reconnect' | 'new-token' | 'stop'} Reaction
 *
 * @typedef {object} End Why a connection ended, or was refused.
 * @property {string} reason in plain words
 * @property {number} [code] WebSocket close code or HTTP status, if there is one
 * @property {Reaction} [reaction] `reconnect` if it is absent
 * @property {number} [wait] seconds to wait that the server asks for
 * @property {boolean} [jittered] the server asks each client for another time, so none is added to `wait`
 * @property {boolean} [unusable] this transport does not work here: the next one is tried
 * @property {boolean} [late] the server did not wait for the first frame: the cursor goes into the address
 */

/** The user has signed out. */
export const SIGNED_OUT = 4502;

/** The code of a connection that ended without a close frame. */
export const BROKEN = 1006;

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
  const end = { code, reason: reason || (code === BROKEN ? 'the connection broke' : `closed with ${code}`), reaction };
  return typeof reconnectIn === 'number' ? { ...end, wait: reconnectIn, jittered: true } : end;
}

/**
 * @param {{status?: number, message: string, retryAfter?: number}} error of a request: a HeraldProblem, or any other
 * @returns {End}
 */
export function afterProblem({ status, message, retryAfter }) {
  if (!status) return { reason: message, unusable: true };
  /** @type {Reaction} */
  let reaction = 'stop';
  if (status === 401) reaction = 'new-token';
  else if (status >= 500 || [408, 425, 429].includes(status)) reaction = 'reconnect';
  return { code: status, reason: message, reaction, wait: retryAfter };
}
