import { openEventStream } from './event_stream.js';
import { openPolling } from './polling.js';
import { openWebSocket } from './websocket.js';

/** @typedef {'websocket' | 'stream' | 'polling'} TransportName */

/** In the order of preference. @type {Record<TransportName, import('./transport.js').Transport>} */
export const TRANSPORTS = { websocket: openWebSocket, stream: openEventStream, polling: openPolling };

/** So often a transport that has worked lately may fail before the next one is tried: the server may be restarting. */
const PATIENCE = 7;

/** Which transport is used, which is better, and until when the better ones need not be tried again. */
export class TransportChoice {
  /** Milliseconds since 1970. */
  until = 0;
  #names;
  #index = 0;
  /** @type {string | undefined} */
  #worked;
  #storage;
  #key;
  #rememberMs;

  /**
   * @param {TransportName | 'auto'} wanted
   * @param {import('./storage.js').Storage} storage where the choice is kept
   * @param {string} key
   * @param {number} rememberMs
   */
  constructor(wanted, storage, key, rememberMs) {
    this.#names = wanted === 'auto' ? /** @type {TransportName[]} */ (Object.keys(TRANSPORTS)) : [wanted];
    this.#storage = storage;
    this.#key = key;
    this.#rememberMs = rememberMs;
  }

  /** The transport of the next attempt. */
  get name() {
    return /** @type {TransportName} */ (this.#names[this.#index]);
  }

  /** The transports that are better than the present one, the best first. */
  get better() {
    return this.#names.slice(0, this.#index);
  }

  /** Take the transport that has worked at the last visit. */
  async load() {
    const { name, until } = (await this.#storage.get(this.#key)) ?? {};
    this.#worked = name;
    if (!(until > Date.now())) return;
    this.until = until;
    this.#index = Math.max(0, this.#names.indexOf(name));
  }

  /**
   * The connection could not be opened: the network may be down, or a proxy refuses this transport.
   * @param {number} failures in a row
   */
  failed(failures) {
    if (this.name !== this.#worked || failures >= PATIENCE) this.#index = (this.#index + 1) % this.#names.length;
  }

  /** @param {TransportName} name */
  hasWorked(name) {
    this.#index = this.#names.indexOf(name);
    if (name === this.#worked) return;
    this.#worked = name;
    if (this.#index === 0) void this.#storage.set(this.#key, { name, until: 0 });
  }

  /** The better ones have failed while this one works. */
  keep() {
    this.until = Date.now() + this.#rememberMs;
    void this.#storage.set(this.#key, { name: this.name, until: this.until });
  }
}
