/**
 * @typedef {import('./close_codes.js').End} End
 * @typedef {import('./positions.js').ServerObject} ServerObject
 *
 * @typedef {object} AttemptHandlers
 * @property {(hello: ServerObject) => void} started `hello` is there: once for each
 * @property {(objects: ServerObject[]) => void} received
 * @property {(object: ServerObject) => void} replied `auth` or `error`
 * @property {(end: End) => void} ended the last call
 */

/** The number of heartbeats without an object after which the connection is dead: one may be late. */
const MAX_MISSED = 2.5;

/** One connection, from the attempt to open it to its end. */
export class Attempt {
  /** Whether `hello` was received. */
  isLive = false;
  /** Whether anything else was received: only then the attempt was no failure. */
  hasSucceeded = false;
  #silenceMs = Infinity;
  #lastReceived = 0;
  #isEnded = false;
  #timer;
  /** @type {import('./transport.js').Link | null} */
  #link = null;
  #request;
  #handlers;

  /**
   * @param {import('./transport.js').Transport} transport
   * @param {import('./transport.js').Request} request
   * @param {number} openMs the longest time until `hello`
   * @param {AttemptHandlers} handlers
   */
  constructor(transport, request, openMs, handlers) {
    this.#request = request;
    this.#handlers = handlers;
    this.#timer = setTimeout(() => this.end({ reason: 'no response', unusable: true }), openMs);
    try {
      this.#link = transport(request, { received: (objects) => this.#receive(objects), ended: (end) => this.end(end) });
    } catch (error) {
      // There is no WebSocket here, or the page may not open one, such as `ws:` from a page with `https:`.
      queueMicrotask(() => this.end({ reason: String(error), unusable: true }));
    }
  }

  /** @param {object} command nothing is sent if the transport sends none */
  send(command) {
    this.#link?.send?.(command);
  }

  /** End the connection if nothing was received for too long. */
  checkSilence() {
    const silence = Date.now() - this.#lastReceived;
    if (this.isLive && silence > this.#silenceMs) {
      this.end({ reason: `nothing received for ${Math.round(silence / 1000)} s` });
    }
  }

  /** Close the connection. No handler is called any more. */
  close() {
    if (this.#isEnded) return;
    this.#isEnded = true;
    clearTimeout(this.#timer);
    this.#link?.close();
  }

  /** @param {End} end */
  end(end) {
    if (this.#isEnded) return;
    this.close();
    this.#handlers.ended(end);
  }

  /** @param {ServerObject[]} objects */
  #receive(objects) {
    if (this.#isEnded) return;
    this.#lastReceived = Date.now();
    for (const object of objects) {
      const { kind } = object;
      if (kind === 'hello') {
        if (this.#isLate(object)) return this.end({ reason: 'the first frame came too late', late: true });
        this.#start(object);
      } else if (kind === 'auth' || kind === 'error') this.#handlers.replied(object);
      else if (!this.isLive) return this.end({ reason: `${kind} before hello` });
      else this.hasSucceeded = true;
    }
    if (this.isLive) this.#handlers.received(objects);
  }

  /** @param {ServerObject} hello */
  #start(hello) {
    clearTimeout(this.#timer);
    this.isLive = true;
    this.#silenceMs = hello.heartbeat * 1000 * MAX_MISSED;
    this.#handlers.started(hello);
  }

  /**
   * Whether the session started without the resume point, because the first frame came too late.
   * @param {ServerObject} hello
   */
  #isLate({ resumed, gap }) {
    return !this.isLive && this.#request.resume !== null && !resumed && !gap?.length;
  }
}
