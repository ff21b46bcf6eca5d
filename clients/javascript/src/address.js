/** @typedef {Record<string, unknown>} Query undefined and null are left out */

/**
 * Where Herald is served, with a slash at the end.
 * @param {string | URL} url relative to the page
 */
export function baseOf(url) {
  const base = new URL(url, globalThis.location?.href);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return base;
}

/**
 * @param {URL} base
 * @param {string} path relative to it
 * @param {Query} query a list is joined by commas
 */
export function addressOf(base, path, query) {
  const address = new URL(path, base);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined) address.searchParams.set(name, String(value));
  }
  return address;
}
