/** The first bound and the largest, in milliseconds. */
const FIRST = 200;
const MOST = 15_000;

/**
 * The wait before the next attempt: a random time up to a bound that doubles with each failure in a row. This full
 * jitter keeps the clients of a node that failed from connecting all at once.
 * @param {number} failures consecutive failures, at least 1
 * @param {() => number} [random] between 0 and 1
 * @returns {number} milliseconds
 */
export function backoff(failures, random = Math.random) {
  return random() * Math.min(MOST, FIRST * 2 ** Math.min(failures - 1, 32));
}

/**
 * The wait after a connection ended. A time from `bye` is kept as it is, because the server chose another one for each
 * client; the backoff is added to one from `Retry-After`, which may be the same for all.
 * @param {import('./close_codes.js').End} end
 * @param {number} failures
 * @param {() => number} [random]
 * @returns {number} milliseconds
 */
export function waitAfter(end, failures, random) {
  const asked = Math.max(0, end.wait ?? 0) * 1000;
  return end.jittered ? asked : asked + backoff(Math.max(1, failures), random);
}
