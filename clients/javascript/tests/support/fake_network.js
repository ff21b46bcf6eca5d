/** The hello of a server. @param {object} more */
export const hello = (more = {}) => ({
  kind: 'hello', session: 's', epoch: 'e', positions: { inbox: 0 }, cursor: 'c0', heartbeat: 30, resumed: false, gap: [], ...more,
});

/** @param {number} seq @param {object} more */
export const notification = (seq, more = {}) => ({ kind: 'notification', stream: 'inbox', seq, id: `n${seq}`, message: `m${seq}`, unread: seq, ...more });

/** A WebSocket whose server is the test. */
export class FakeSocket {
  /** All that were made, the latest one last. @type {FakeSocket[]} */
  static all = [];
  /** Whether handshakes are refused, as by a proxy. */
  static isRefused = false;

  readyState = 0;
  isClosed = false;
  protocol = '';
  /** @type {any[]} */
  sent = [];
  /** @type {any} */ onopen;
  /** @type {any} */ onmessage;
  /** @type {any} */ onclose;

  static get last() {
    return /** @type {FakeSocket} */ (FakeSocket.all.at(-1));
  }

  /** @param {string} address @param {string[]} protocols */
  constructor(address, protocols) {
    this.address = new URL(address);
    this.protocols = protocols;
    FakeSocket.all.push(this);
    if (FakeSocket.isRefused) setImmediate(() => this.drop());
  }

  /** @param {string} text */
  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.isClosed = true;
  }

  /** Accept the handshake, and send these objects in one frame. @param {any[]} objects */
  open(...objects) {
    this.readyState = 1;
    this.protocol = 'herald.v1';
    this.onopen?.();
    if (objects.length) this.say(...objects);
    return this;
  }

  /** @param {any[]} objects */
  say(...objects) {
    this.frame(objects.map((object) => JSON.stringify(object)).join('\n'));
  }

  /** @param {any} data */
  frame(data) {
    this.onmessage?.({ data });
  }

  /** End without a close frame, or with one. */
  drop(code = 1006, reason = '') {
    this.onclose?.({ code, reason });
  }
}

/** An event stream whose server is the test. */
export class FakeStream {
  #encoder = new TextEncoder();

  /** @param {AbortSignal} signal of the request */
  constructor(signal) {
    const body = new ReadableStream({ start: (controller) => void (this.controller = controller) });
    signal.addEventListener('abort', () => (this.isClosed = true));
    this.response = new Response(body, { headers: { 'content-type': 'text/event-stream; charset=utf-8' } });
    this.isClosed = false;
  }

  /** @param {string} text */
  write(text) {
    this.controller?.enqueue(this.#encoder.encode(text));
  }

  /** @param {string} cursor @param {any[]} objects */
  say(cursor, ...objects) {
    this.write(objects.map((object) => `id: ${cursor}\ndata: ${JSON.stringify(object)}\n\n`).join(''));
  }
}

/** @param {number} status @param {object} body @param {Record<string, string>} [headers] */
export const problem = (status, body, headers = {}) =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/problem+json', ...headers } });
