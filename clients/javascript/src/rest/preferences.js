/**
 * @typedef {import('../../types/api.js').PreferencesOut} Preferences
 * @typedef {import('../../types/api.js').TypeOut} NotificationType
 * @typedef {{request: (method: string, path: string, options?: import('./client.js').RequestOptions) => Promise<any>}} Requests
 */

const PATH = 'api/v2/preferences';

/** What the user wants to receive. docs/rest.md describes the fields. */
export class PreferencesClient {
  #rest;

  /** @param {Requests} rest */
  constructor(rest) {
    this.#rest = rest;
  }

  /** @returns {Promise<Preferences>} */
  get() {
    return this.#rest.request('GET', PATH);
  }

  /**
   * Change some fields and return all of them.
   * @param {Partial<Preferences>} changes
   * @returns {Promise<Preferences>}
   */
  update(changes) {
    return this.#rest.request('PATCH', PATH, { body: changes });
  }

  /**
   * Mute or unmute a type. The list of muted types is read first, because another device may have changed it.
   * @param {string} type
   * @param {boolean} [isMuted]
   * @returns {Promise<Preferences>}
   */
  async mute(type, isMuted = true) {
    const { muted_types: types } = await this.get();
    const others = types.filter((other) => other !== type);
    return this.update({ muted_types: isMuted ? [...others, type] : others });
  }

  /**
   * The types that can be muted, with their titles.
   * @returns {Promise<NotificationType[]>}
   */
  async types() {
    return (await this.#rest.request('GET', 'api/v2/types')).data;
  }
}
