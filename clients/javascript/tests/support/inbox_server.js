import { HeraldProblem } from '../../src/rest/problem.js';

/** A generator of random numbers that can be repeated (mulberry32). @param {number} seed */
export function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Let everything run that waits for nothing else. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

/**
 * One inbox as a server has it. Responses are computed when the request comes, and wait until `deliver` if `isHeld`;
 * objects of the stream wait in `outbox`.
 */
export class InboxServer {
  rows = new Map();
  /** @type {any[]} */
  outbox = [];
  /** @type {{method: string, path: string, options: any}[]} */
  requests = [];
  /** @type {(() => void)[]} */
  held = [];
  isHeld = false;
  /** @type {HeraldProblem | null} what every request gets */
  problem = null;
  position = 0;
  /** @type {Set<(object: any) => void>} */
  objects = new Set();
  /** @type {Set<(state: any) => void>} */
  states = new Set();

  get unread() {
    return this.list().filter((row) => !row.is_read).length;
  }

  /** What the inbox store needs. */
  get options() {
    /** @param {Set<any>} all */
    const subscriber = (all) => (/** @type {any} */ listener) => {
      all.add(listener);
      return () => void all.delete(listener);
    };
    return {
      rest: { request: this.request },
      subscribeObjects: subscriber(this.objects),
      subscribeState: subscriber(this.states),
    };
  }

  /** @param {any} [query] */
  list({ type, is_read } = {}) {
    return [...this.rows.values()]
      .filter((row) => !row.is_archived && (type ?? row.notification_type) === row.notification_type)
      .filter((row) => (is_read ?? row.is_read) === row.is_read)
      .sort((one, other) => other.seq - one.seq);
  }

  /** A notification arrives, or arrives again. @param {string} id */
  arrive(id, type = 'a') {
    const seq = ++this.position;
    const row = { id, seq, changed: seq, event_id: `e${id}`, title: `${id} at ${seq}`, message: '', url: null, data: null, time: 't' };
    this.rows.set(id, { ...row, notification_type: type, is_read: false, is_archived: false, is_muted: false });
    this.#tell({ kind: 'notification', ...row, type, read: false });
  }

  /** @param {string} id @param {'read' | 'unread' | 'archived'} kind */
  change(id, kind) {
    const row = this.rows.get(id);
    const isSame = kind === 'archived' ? row?.is_archived : row?.is_read === (kind === 'read') || row?.is_archived;
    if (!row || isSame) return;
    const changed = ++this.position;
    const is_read = kind === 'archived' ? row.is_read : kind === 'read';
    this.rows.set(id, { ...row, changed, is_read, is_archived: kind === 'archived' });
    this.#tell({ kind, id, seq: row.seq, changed, event_id: row.event_id });
  }

  hello({ resumed = false, gap = /** @type {string[]} */ ([]), epoch = 'one' } = {}) {
    this.send({ kind: 'hello', positions: { inbox: this.position }, epoch, resumed, gap, unread: this.unread, unseen: 0 });
  }

  /** @param {any} object */
  send(object) {
    for (const listener of this.objects) listener(object);
  }

  /** Deliver the next object of the stream. */
  stream() {
    const object = this.outbox.shift();
    if (object) this.send(object);
  }

  /** @param {string} state */
  become(state) {
    for (const listener of this.states) listener({ state });
  }

  /** @param {string} method @param {string} path @param {any} options */
  request = async (method, path, { signal, ...options } = /** @type {any} */ ({})) => {
    this.requests.push({ method, path, options });
    const { problem } = this;
    const body = problem ? null : structuredClone(this.#respond(method, path, options));
    if (this.isHeld) await new Promise((resolve) => this.held.push(() => resolve(undefined)));
    signal?.throwIfAborted();
    if (problem) throw problem;
    return body;
  };

  /** @param {string} method @param {string} path @param {any} options */
  #respond(method, path, { query = {}, body }) {
    const [id = '', state] = path.split('/').slice(3);
    const counts = () => ({ unread_count: this.unread });
    if (method === 'GET') {
      const after = query.cursor === null ? Infinity : Number(query.cursor);
      const rows = this.list(query).filter((row) => row.seq < after);
      const data = rows.slice(0, query.limit);
      return { data, meta: { ...counts(), next_cursor: rows.length > data.length ? String(data.at(-1).seq) : null } };
    }
    if (id === 'seen') return null;
    if (id === 'mark-all-read') {
      for (const row of this.list()) if (row.seq <= (body.up_to ?? Infinity)) this.change(row.id, 'read');
      return counts();
    }
    if (!this.rows.has(id)) throw new HeraldProblem({ status: 404, code: 'not_found' });
    this.change(id, method === 'DELETE' ? 'archived' : /** @type {'read' | 'unread'} */ (state));
    return method === 'DELETE' ? counts() : { ...this.rows.get(id), ...counts() };
  }

  /** @param {any} object */
  #tell(object) {
    this.outbox.push({ stream: 'inbox', ...object, unread: this.unread, unseen: 0 });
  }
}
