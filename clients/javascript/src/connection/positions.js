/**
 * What is sent to continue after a disconnect: the last cursor, and the position of each stream received since.
 * @typedef {{cursor: string, positions: Record<string, number>}} ResumePoint
 *
 * @typedef {Record<string, any> & {kind: string}} ServerObject An object of `herald.v1`, as docs/protocol.md has it.
 */

/** Records the last received position of each stream, and recognises objects that were received before. */
export class Positions {
  /** @type {string | null} */
  #cursor = null;
  /** @type {Map<string, number>} */
  #positions = new Map();
  /** The streams that have moved since the cursor. @type {Set<string>} */
  #moved = new Set();
  /**
   * The ids received at the last position of each stream, because changes made by one request share a position. A
   * stream is absent if all of its last position were received.
   * @type {Map<string, string[]>}
   */
  #ids = new Map();

  /** @param {ResumePoint | null} [start] */
  constructor(start) {
    if (!start) return;
    this.#cursor = start.cursor;
    this.#positions = new Map(Object.entries(start.positions));
    this.#moved = new Set(this.#positions.keys());
  }

  /** @returns {ResumePoint | null} null before the first `hello` */
  get resumePoint() {
    if (this.#cursor === null) return null;
    return { cursor: this.#cursor, positions: Object.fromEntries([...this.#moved].map((stream) => [stream, this.of(stream)])) };
  }

  /** The last position of each stream. */
  get all() {
    return Object.fromEntries(this.#positions);
  }

  /** @param {string} stream */
  of(stream) {
    return this.#positions.get(stream) ?? 0;
  }

  /**
   * Record an object.
   * @param {ServerObject} object
   * @returns {boolean} false if it was received before
   */
  accept(object) {
    const { kind, stream } = object;
    if (kind === 'hello') return this.#start(object);
    if (kind === 'heartbeat') this.#moveTo(object.cursor);
    if (typeof stream !== 'string') return true;
    if (kind === 'gap') {
      this.#advance(stream, object.upto);
      this.#moved.add(stream);
      return true;
    }
    const position = object.changed ?? object.seq;
    return typeof position !== 'number' || this.#isNew(stream, position, object.id);
  }

  /** @param {string} cursor one that covers everything received so far */
  #moveTo(cursor) {
    this.#cursor = cursor ?? this.#cursor;
    this.#moved.clear();
  }

  /** @param {ServerObject} hello */
  #start(hello) {
    const positions = /** @type {Record<string, number>} */ (hello.positions ?? {});
    if (!hello.resumed) {
      // The epoch may be another one. Then positions of streams that this session does not have are worth nothing.
      for (const stream of this.#positions.keys()) if (!(stream in positions)) this.#positions.delete(stream);
    }
    for (const [stream, position] of Object.entries(positions)) {
      if (!hello.gap?.includes(stream)) this.#advance(stream, position);
      else {
        this.#positions.set(stream, position);
        this.#ids.delete(stream);
      }
    }
    this.#moveTo(hello.cursor);
    return true;
  }

  /**
   * @param {string} stream
   * @param {number} position
   * @param {string} id
   */
  #isNew(stream, position, id) {
    const known = this.of(stream);
    if (position > known) {
      this.#positions.set(stream, position);
      this.#moved.add(stream);
      this.#ids.set(stream, [id]);
      return true;
    }
    const ids = this.#ids.get(stream);
    if (position < known || !ids || ids.includes(id)) return false;
    ids.push(id);
    return true;
  }

  /**
   * @param {string} stream
   * @param {number} position
   */
  #advance(stream, position) {
    if (position <= (this.#positions.get(stream) ?? -1)) return;
    this.#positions.set(stream, position);
    this.#ids.delete(stream);
  }
}
