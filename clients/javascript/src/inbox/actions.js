/**
 * @typedef {import('./item.js').Item} Item
 * @typedef {import('./item.js').Change} Change
 */

const PATH = 'api/v2/notifications';

/**
 * What the user did, until the server has confirmed it.
 * @typedef {object} Action
 * @property {'read' | 'unread' | 'archive' | 'readAll' | 'seen'} kind
 * @property {string} [id] the notification, for the first three
 * @property {number} [upTo] the newest `seq` that it concerns, for the last two; all if it is absent
 */

/**
 * Return an item as it will be after the action. Null if it leaves the inbox.
 * @param {Action} action
 * @param {Item} item
 * @returns {Item | null}
 */
export function applied(action, item) {
  const { kind, id, upTo = Infinity } = action;
  if (kind === 'seen' || (kind === 'readAll' ? item.seq > upTo : item.id !== id)) return item;
  if (kind === 'archive') return null;
  const read = kind !== 'unread';
  return item.read === read ? item : Object.freeze({ ...item, read });
}

/**
 * The request of an action.
 * @param {Action} action
 * @returns {[method: string, path: string, options: {body?: unknown}]}
 */
export function requestOf({ kind, id, upTo }) {
  const item = `${PATH}/${encodeURIComponent(String(id))}`;
  if (kind === 'archive') return ['DELETE', item, {}];
  if (kind === 'read' || kind === 'unread') return ['PUT', `${item}/${kind}`, {}];
  const body = upTo === undefined ? {} : { up_to: upTo };
  return ['PUT', `${PATH}/${kind === 'seen' ? 'seen' : 'mark-all-read'}`, { body }];
}

/**
 * The changes that the server will make, for actions whose response does not have them.
 * @param {Action} action
 * @param {{get: (id: string) => Item | undefined, values: () => Iterable<Item>}} known when the action is sent
 * @returns {Change[]}
 */
export function changesOf({ kind, id, upTo = Infinity }, known) {
  // Their positions come with the stream. Whatever they are, they lie after this one, and after nothing that comes later.
  const next = (/** @type {Item} */ { id, changed }, /** @type {boolean} */ archived) => ({ id, changed: changed + 0.5, read: true, archived });
  const item = id === undefined ? undefined : known.get(id);
  if (kind === 'archive') return item ? [next(item, true)] : [];
  if (kind !== 'readAll') return [];
  return [...known.values()].filter(({ read, seq }) => !read && seq <= upTo).map((unread) => next(unread, false));
}
