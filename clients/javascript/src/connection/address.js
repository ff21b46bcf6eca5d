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
 * @property {typeof globalThis.fetch} fetch
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
 * @param {string} path relative to the address of Herald
 * @param {Request} request
 * @param {Record<string, string | undefined>} [more] further parameters
 */
export function addressOf(path, { base, user, feeds, types, token }, more = {}) {
  const address = new URL(path, base);
  const query = { user_id: token === null ? user : null, feeds: feeds?.join(), types: types?.join(), ...more };
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined) address.searchParams.set(name, value);
  }
  return address;
}
