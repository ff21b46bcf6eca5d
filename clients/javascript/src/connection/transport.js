import { addressOf } from '../address.js';
import { afterProblem } from './close_codes.js';

/**
 * @typedef {import('./positions.js').ResumePoint} ResumePoint
 * @typedef {import('./positions.js').ServerObject} ServerObject
 *
 * @typedef {object} Request What a transport needs to connect.
 * @property {URL} base where Herald is served, with a slash at the end
 * @property {string | null} user in the address, for a client without a token
 * @property {readonly string[] | null} feeds all if it is null
 * @property {readonly string[] | null} types all if it is null
 * @property {string | null} token
 * @property {ResumePoint | null} resume
 * @property {boolean} isCursorInAddress whether a WebSocket resumes by its address, not by its first frame
 * @property {any} [WebSocket] a constructor
 * @property {(address: URL, init: RequestInit) => Promise<Response>} fetch
 * @property {import('../rest/preferences.js').Requests} rest
 * @property {number} pollMs the pause between two requests of polling
 *
 * @typedef {object} Handlers Never called before the transport has returned.
 * @property {(objects: ServerObject[]) => void} received
 * @property {(end: import('./close_codes.js').End) => void} ended the last call
 *
 * @typedef {{send?: (command: object) => void, close: () => void}} Link An open connection. `close` calls no handler.
 * @typedef {(request: Request, handlers: Handlers) => Link} Transport
 */

/**
 * The address of an endpoint. A token never stands in it.
 * @param {string} path
 * @param {Request} request
 * @param {import('../address.js').Query} more
 */
export const endpoint = (path, { base, user, feeds, types, token }, more) =>
  addressOf(base, path, { user_id: token === null ? user : null, feeds, types, ...more });

/**
 * A transport that reads responses to requests.
 * @param {(request: Request, received: Handlers['received'], signal: AbortSignal) => Promise<import('./close_codes.js').End>} run
 * @returns {Transport}
 */
export const byFetch = (run) => (request, { received, ended }) => {
  const abort = new AbortController();
  const { signal } = abort;
  run(request, (objects) => signal.aborted || received(objects), signal)
    .catch(afterProblem)
    .then((end) => signal.aborted || ended(end));
  return { close: () => abort.abort() };
};
