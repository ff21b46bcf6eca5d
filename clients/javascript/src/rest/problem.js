/**
 * The fields of a problem of Herald (RFC 9457). docs/rest.md describes them.
 * @typedef {object} ProblemFields
 * @property {number} status the HTTP status; 0 if there was no response
 * @property {string} code identifies the kind of the problem; it does not change between releases
 * @property {string} [title]
 * @property {string} [detail]
 * @property {string} [field] the invalid field
 * @property {number} [retryAfter] seconds to wait before the next attempt
 */

/** There was no response: Herald is unreachable, the response took too long, or the browser forbids the request. */
export const UNREACHABLE = 'unreachable';
/** The response is not one of Herald: a proxy has answered, or the address is another service's. */
export const NOT_HERALD = 'not_herald';

/** Statuses after which the same request may succeed later. 401 is temporary for a client whose token can be renewed. */
const TEMPORARY = [0, 401, 408, 425, 429];

/** A request that Herald refused, or that did not reach it. `code` says why, for programs; `message` for people. */
export class HeraldProblem extends Error {
  /**
   * @param {ProblemFields} fields
   * @param {ErrorOptions} [options]
   */
  constructor({ status, code, title, detail, field, retryAfter }, options) {
    super([title ?? code, detail].filter(Boolean).join(': '), options);
    this.name = 'HeraldProblem';
    this.status = status;
    this.code = code;
    this.title = title;
    this.detail = detail;
    this.field = field;
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may succeed later. */
  get isTemporary() {
    return TEMPORARY.includes(this.status) || this.status >= 500;
  }
}

/**
 * The problem that a response describes.
 * @param {Response} response
 * @returns {Promise<HeraldProblem>}
 */
export async function problemOf(response) {
  const body = await response.json().catch(() => null);
  const { status } = response;
  const retryAfter = secondsOf(response.headers.get('retry-after'));
  if (typeof body?.code !== 'string') {
    return new HeraldProblem({ status, code: NOT_HERALD, title: 'The response is not from Herald', retryAfter });
  }
  return new HeraldProblem({ ...body, status, retryAfter });
}

/** @param {string | null} header `Retry-After`: seconds, or an HTTP date */
function secondsOf(header) {
  if (!header) return undefined;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.max(0, seconds);
}
