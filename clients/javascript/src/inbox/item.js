/**
 * A notification as the inbox store has it. Fields are named as in the objects of `herald.v1`.
 * @typedef {object} Item
 * @property {string} id
 * @property {number} seq position of the latest arrival: the list is sorted by it. It may grow
 * @property {number} changed position of the last change
 * @property {string} event_id
 * @property {string} type
 * @property {string} title plain text: insert it as text, not as HTML
 * @property {string} message plain text
 * @property {string | null} url
 * @property {any} data
 * @property {string} time when the event happened
 * @property {boolean} read
 * @property {boolean} muted whether the type was muted when the notification was stored
 *
 * A change without the content of its notification: `read`, `unread` or `archived`.
 * @typedef {{id: string, changed: number, read: boolean, archived: boolean}} Change
 */

/**
 * @param {import('../../types/api.js').Item} row a notification as the REST API has it
 * @returns {Item}
 */
export function fromRest(row) {
  const { id, seq, changed, event_id, title, message, url, data, time } = row;
  const type = row.notification_type;
  return Object.freeze({ id, seq, changed, event_id, type, title, message, url, data, time, read: row.is_read, muted: row.is_muted });
}

/**
 * @param {Record<string, any>} object a `notification` of the stream
 * @returns {Item}
 */
export function fromStream(object) {
  const { id, seq, event_id, type, title, message, data, time, read } = object;
  const { changed = seq, url = null } = object;
  return Object.freeze({ id, seq, changed, event_id, type, title, message, url, data, time, read, muted: false });
}

/**
 * @param {Record<string, any>} object a `read`, `unread` or `archived` of the stream
 * @returns {Change}
 */
export function changeOf({ kind, id, seq, changed = seq }) {
  return { id, changed, read: kind === 'read', archived: kind === 'archived' };
}

/**
 * Return an item after a change. Null if it left the inbox.
 * @param {Item} item
 * @param {Change | undefined} change
 * @returns {Item | null}
 */
export function changed(item, change) {
  if (!change || change.changed <= item.changed) return item;
  return change.archived ? null : Object.freeze({ ...item, changed: change.changed, read: change.read });
}
