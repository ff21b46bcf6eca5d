/**
 * @typedef {object} PageListener
 * @property {() => void} woke the page is visible again, or there is a network again
 * @property {() => void} offline
 * @property {() => void} left the page is closed, or kept for the case that the user goes back
 * @property {() => void} returned the user went back
 */

/**
 * Listen to what the browser says about the page and the network. Nothing happens where there are no such events.
 * @param {PageListener} listener
 * @returns {() => void} ends it
 */
export function watchPage({ woke, offline, left, returned }) {
  const { document } = globalThis;
  const abort = new AbortController();
  const listen = (/** @type {EventTarget} */ target, /** @type {string} */ event, /** @type {(event: any) => void} */ run) =>
    target?.addEventListener?.(event, run, { signal: abort.signal });
  listen(globalThis, 'online', woke);
  listen(globalThis, 'offline', offline);
  listen(globalThis, 'pagehide', left);
  listen(globalThis, 'pageshow', ({ persisted }) => persisted && returned());
  listen(document, 'resume', woke);
  listen(document, 'visibilitychange', () => isVisible() && woke());
  return () => abort.abort();
}

/** Whether the user can see the page. Programs without a page count as visible. */
export const isVisible = () => globalThis.document?.visibilityState !== 'hidden';

/** Whether the browser knows that there is no network. */
export const isOffline = () => globalThis.navigator?.onLine === false;
