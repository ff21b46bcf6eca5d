import { byFetch } from './transport.js';

/**
 * @typedef {import('./positions.js').ServerObject} ServerObject
 * @typedef {import('../../types/api.js').Item} Row
 * @typedef {{cursor: string, more: boolean, gap: boolean, unread_count: number, unseen_count?: number, seen?: object}} Meta
 */

const PATH = 'api/v2/notifications/changes';

/** Requests of `changes`, whose responses are passed on as objects of `herald.v1`. */
export const openPolling = byFetch(async ({ rest, resume, types, pollMs }, received, signal) => {
  let since = resume?.cursor ?? null;
  for (let isFirst = true; ; isFirst = false) {
    const { data, meta } = await rest.request('GET', PATH, { query: { since, limit: 100 }, signal });
    const objects = objectsOf(data, meta, types);
    if (isFirst || meta.gap) objects.unshift(helloOf(meta, since !== null && !meta.gap));
    received([...objects, { kind: 'heartbeat', cursor: meta.cursor }]);
    since = meta.cursor;
    if (!meta.more) await new Promise((resolve) => setTimeout(resolve, pollMs * (0.75 + Math.random() / 2)));
  }
});

/**
 * @param {Meta} meta
 * @param {boolean} resumed
 * @returns {ServerObject} a `hello`; the position of the inbox is in its cursor only
 */
function helloOf({ cursor, gap, unread_count: unread, unseen_count: unseen }, resumed) {
  const positions = { inbox: 0 };
  // The heartbeat, in seconds, is longer than any pause between two requests.
  return { kind: 'hello', cursor, positions, heartbeat: 60, resumed, gap: gap ? ['inbox'] : [], unread, unseen };
}

/**
 * @param {Row[]} rows
 * @param {Meta} meta
 * @param {readonly string[] | null} types
 * @returns {ServerObject[]} what a connection would send
 */
function objectsOf(rows, { seen, unread_count: unread, unseen_count: unseen }, types) {
  /** @type {any[]} */
  const objects = rows
    .map((row) => ({ ...row, kind: kindOf(row), type: row.notification_type, read: row.is_read }))
    .filter(({ kind, type, seq, changed, is_muted: isMuted }) => {
      return kind === 'archived' || ((types?.includes(type) ?? true) && !(isMuted && seq === changed));
    });
  if (seen) objects.push({ ...seen, kind: 'seen' });
  objects.sort((one, other) => one.changed - other.changed);
  return objects.map((object) => ({ ...object, stream: 'inbox', unread, unseen }));
}

/** @param {Row} row */
function kindOf({ is_archived: isArchived, is_muted: isMuted, is_read: isRead }) {
  if (isArchived) return 'archived';
  if (isMuted) return isRead ? 'read' : 'unread';
  return 'notification';
}
