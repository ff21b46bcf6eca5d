/** The unread and unseen totals of the inbox: always numbers of the server, of the largest position. */
export class Counts {
  /** @type {number | null} null until the server has sent it */
  unread = null;
  /** @type {number | null} null also for servers that do not count it */
  unseen = null;
  /** Grows with each total that the stream has sent. */
  version = 0;
  #position = 0;
  #onChange;

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  clear() {
    this.#position = 0;
    this.unread = this.unseen = null;
    this.version += 1;
  }

  /**
   * Take the totals of an object of the stream. Totals of an earlier position than the known ones are ignored.
   * @param {Record<string, any>} object
   * @param {number} position
   */
  fromStream({ unread, unseen }, position) {
    if (position < this.#position) return;
    this.#position = position;
    this.#set(unread, unseen);
    this.version += 1;
  }

  /**
   * Take the totals of `hello`. They are of now, even if the session continues at an earlier position.
   * @param {Record<string, any>} hello
   * @param {boolean} isOtherHistory whether its positions have nothing to do with the known ones
   */
  fromHello({ unread, unseen }, isOtherHistory) {
    if (isOtherHistory) this.#position = 0;
    this.#set(unread, unseen);
    this.version += 1;
  }

  /**
   * Take the totals of a response, unless the stream has sent newer ones since the request.
   * @param {{unread_count?: number, unseen_count?: number}} body
   * @param {number} version of these counts when the request was sent
   */
  fromResponse(body, version) {
    if (version === this.version) this.#set(body.unread_count, body.unseen_count);
  }

  /**
   * @param {number | undefined} unread
   * @param {number | undefined} unseen
   */
  #set(unread, unseen) {
    const before = [this.unread, this.unseen];
    if (unread !== undefined) this.unread = unread;
    if (unseen !== undefined) this.unseen = unseen;
    if (this.unread !== before[0] || this.unseen !== before[1]) this.#onChange();
  }
}
