// Two clients of herald.v1, over a WebSocket and over an event stream. docs/clients.md describes how clients behave.

// After any other close code, reconnecting would be refused again.
const mayReconnect = (code) => [1001, 1006, 1011, 1012, 1013].includes(code) || (code >= 4000 && code < 4500);

// Needs a new token, which only the user of this page can enter.
const TOKEN_EXPIRED = 4401;

const CONNECTION_BROKEN = 1006;
const MAX_BACKOFF_S = 30;

// Missed heartbeats after which the connection counts as dead.
const MAX_SILENT_HEARTBEATS = 2.5;

/** The part that both transports share: positions, reconnecting, stopping. */
class Client {
  /** `receiver` receives every object of both clients: its `receive` and `stopped` methods must accept repeats. */
  constructor(view, receiver) {
    this.view = view;
    this.receiver = receiver;
    view.reconnectButton.onclick = () => this.connect();
  }

  /** Connects as `identity`: {user, feeds, token()}. Positions of another user are discarded. */
  listen(identity) {
    if (identity.user !== this.identity?.user) {
      this.epoch = null; // of the server's store; positions are valid within one epoch only
      this.positions = {}; // the last received position of each stream
      this.cursor = ""; // the last cursor from the server
      this.view.clear();
    }
    this.identity = identity;
    this.connect();
  }

  connect() {
    this.close();
    this.attempts = 0;
    this.open();
  }

  /** Processes one object from the server. */
  receive(object) {
    this.restartWatchdog();
    if (object.kind === "hello") {
      const isReconnect = this.epoch !== null;
      this.attempts = 0;
      this.maxSilence = object.heartbeat * MAX_SILENT_HEARTBEATS;
      this.positions = object.epoch === this.epoch ? { ...this.positions, ...object.positions } : object.positions;
      this.startPositions = { ...this.positions };
      this.epoch = object.epoch;
      this.view.showState("live", isReconnect && object.resumed ? "resumed, nothing missed" : "");
      this.view.showUnread(object.unread);
      if (object.gap.length) this.view.addGap(object.gap);
    } else if (object.kind === "gap") {
      this.positions[object.stream] = object.upto;
      this.view.addGap([object.stream]);
    } else if (object.kind === "bye") {
      this.bye = object;
    } else if (object.stream) {
      // An entry is new if it arrived after hello. Older ones are sent again when their state changes.
      const isNew = object.seq > (this.startPositions[object.stream] ?? 0);
      this.positions[object.stream] = object.changed ?? object.seq;
      if (object.id) this.view.put(object, isNew); // `seen` is about no single notification
    }
    this.receiver.receive(object);
  }

  /** The connection has ended: reconnects after a backoff, or stops. */
  ended(code, reason) {
    const wait = this.bye?.reconnect_in ?? Math.min(MAX_BACKOFF_S, 2 ** this.attempts) * (0.5 + Math.random() / 2);
    this.attempts += 1;
    this.close();
    if (!mayReconnect(code) || code === TOKEN_EXPIRED) return this.stopped(`${reason} (${code})`);
    const dueAt = Date.now() + wait * 1000;
    const countDown = () => {
      const left = dueAt - Date.now();
      if (left <= 0) return this.open();
      this.view.showState("reconnecting", `in ${Math.ceil(left / 1000)} s`);
      this.timer = setTimeout(countDown, left % 1000 || 1000);
    };
    countDown();
  }

  /** The server refused the connection, or closed it permanently. */
  stopped(reason) {
    this.view.showState("stopped", reason);
    this.receiver.stopped(reason);
  }

  /** Ends the connection if no object follows in time: a connection can break without a close event. */
  restartWatchdog() {
    clearTimeout(this.watchdog);
    if (this.maxSilence) this.watchdog = setTimeout(() => this.ended(CONNECTION_BROKEN), this.maxSilence * 1000);
  }

  close() {
    clearTimeout(this.timer);
    clearTimeout(this.watchdog);
    this.bye = null;
    this.connection?.close();
    this.connection = null;
  }

  /** The URL to connect to. It is also shown; parameters added later, such as tokens, are not. */
  showAddress(path) {
    const { user, feeds } = this.identity;
    const url = new URL(path, document.baseURI);
    if (user && !this.identity.token()) url.searchParams.set("user_id", user); // a token contains the user
    if (feeds) url.searchParams.set("feeds", feeds.join());
    this.view.address.textContent = decodeURIComponent(url.pathname + url.search);
    return url;
  }
}

/** Uses a WebSocket. A frame holds one object a line. */
export class SocketClient extends Client {
  open() {
    this.view.showState("connecting");
    const url = this.showAddress("ws");
    url.protocol = url.protocol.replace("http", "ws");
    const token = this.identity.token();
    let socket;
    try {
      socket = new WebSocket(url, token ? ["herald.v1", `bearer.${token}`] : ["herald.v1"]);
    } catch {
      return this.stopped("invalid token");
    }
    this.connection = socket;
    const ifCurrent = (handler) => (event) => this.connection === socket && handler(event);
    // Sent even with nothing to resume, because the server waits a moment for this frame.
    socket.onopen = ifCurrent(() => {
      const resume = this.epoch ? { epoch: this.epoch, positions: this.positions } : {};
      socket.send(JSON.stringify({ resume }));
    });
    socket.onmessage = ifCurrent(({ data }) => data.split("\n").forEach((line) => this.receive(JSON.parse(line))));
    socket.onclose = ifCurrent(({ code, reason }) => this.ended(code, reason || "closed"));
  }
}

/** Uses an EventSource, which reconnects and resumes (Last-Event-ID) by itself when a connection breaks. */
export class StreamClient extends Client {
  open() {
    this.view.showState("connecting");
    const url = this.showAddress("events/stream?protocol=1");
    if (this.identity.token()) url.searchParams.set("token", this.identity.token());
    if (this.cursor) url.searchParams.set("last_event_id", this.cursor);
    const stream = new EventSource(url);
    this.connection = stream;
    const ifCurrent = (handler) => (event) => this.connection === stream && handler(event);
    stream.onmessage = ifCurrent(({ data, lastEventId }) => {
      this.cursor = lastEventId;
      this.receive(JSON.parse(data));
      if (this.bye) this.ended(this.bye.code, this.bye.reason);
    });
    stream.onerror = ifCurrent(() => {
      clearTimeout(this.watchdog);
      if (stream.readyState === EventSource.CLOSED) this.handleRefusal(url, stream);
      else this.view.showState("reconnecting", "the browser decides when");
    });
  }

  /** Repeats the request to get the status of the refusal, which an EventSource does not expose. */
  async handleRefusal(url, stream) {
    const abort = new AbortController();
    let status = 0;
    let reason = "signed out";
    try {
      const response = await fetch(url, { signal: abort.signal, cache: "no-store" });
      status = response.status;
      if (status >= 400) {
        const problem = await response.json();
        reason = problem.detail ?? problem.title;
      }
    } catch {
      // Unreachable, or not a response from Herald: reconnect later.
    }
    abort.abort();
    if (this.connection !== stream) return;
    if (status === 204 || (status >= 400 && status < 500)) {
      this.close();
      this.stopped(`${reason} (${status})`);
    } else this.ended(CONNECTION_BROKEN);
  }
}
