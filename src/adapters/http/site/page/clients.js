// The two clients of herald.v1.

// The close codes to come back from. After any other, trying again would end the same way.
const comesBack = (code) => [1001, 1006, 1011, 1012, 1013].includes(code) || (code >= 4000 && code < 4500);
const TOKEN_EXPIRED = 4401; // to come back from with a fresh token, which here only a person can fetch

/** What both transports have in common: what to remember, when to come back, when to stop. */
class Client {
  constructor(view, inbox) {
    this.view = view;
    this.inbox = inbox; // receives each object from both clients, and takes it once
    view.again.onclick = () => this.connect();
  }

  /** Listens as `who`: {user, feeds, token()}. Another user's positions are of no use, so they are forgotten. */
  listen(who) {
    if (who.user !== this.who?.user) {
      this.epoch = null; // of the server's store: positions mean something within it only
      this.positions = {}; // by stream: all up to here was seen
      this.cursor = ""; // the same as the server writes it
      this.view.clear();
    }
    this.who = who;
    this.connect();
  }

  connect() {
    this.close();
    this.attempts = 0;
    this.open();
  }

  /** One object from the server. */
  take(object) {
    this.watch();
    if (object.kind === "hello") {
      const again = this.epoch !== null;
      this.attempts = 0;
      this.silence = object.heartbeat * 2.5;
      this.positions = object.epoch === this.epoch ? { ...this.positions, ...object.positions } : object.positions;
      this.since = { ...this.positions };
      this.epoch = object.epoch;
      this.view.show("live", again && object.resumed ? "resumed, nothing missed" : "");
      this.view.count(object.unread);
      if (object.gap.length) this.view.gap(object.gap);
    } else if (object.kind === "gap") {
      this.positions[object.stream] = object.upto;
      this.view.gap([object.stream]);
    } else if (object.kind === "bye") {
      this.bye = object;
    } else if (object.stream) {
      // What arrived since hello is news, at whatever position it comes; the rest tells what became of older ones.
      const isNew = object.seq > (this.since[object.stream] ?? 0);
      this.positions[object.stream] = object.changed ?? object.seq;
      this.view.put(object, isNew);
    }
    this.inbox.take(object);
  }

  /** The connection is over: comes back later, or stops. */
  ended(code, reason) {
    const wait = this.bye?.reconnect_in ?? Math.min(30, 2 ** this.attempts) * (0.5 + Math.random() / 2);
    this.attempts += 1;
    this.close();
    if (!comesBack(code) || code === TOKEN_EXPIRED) return this.stopped(`${reason} (${code})`);
    const at = Date.now() + wait * 1000;
    const tick = () => {
      const left = at - Date.now();
      if (left <= 0) return this.open();
      this.view.show("reconnecting", `in ${Math.ceil(left / 1000)} s`);
      this.timer = setTimeout(tick, left % 1000 || 1000);
    };
    tick();
  }

  /** The server refused the connection, or ended it for good. */
  stopped(reason) {
    this.view.show("stopped", reason);
    this.inbox.stopped(reason);
  }

  /** A network can go without a word: the server speaks once a heartbeat, so silence for longer is an end too. */
  watch() {
    clearTimeout(this.watchdog);
    if (this.silence) this.watchdog = setTimeout(() => this.ended(1006), this.silence * 1000);
  }

  close() {
    clearTimeout(this.timer);
    clearTimeout(this.watchdog);
    this.bye = null;
    this.connection?.close();
    this.connection = null;
  }

  /** Where to connect; what comes after this, tokens above all, is not shown. */
  address(path) {
    const { user, feeds } = this.who;
    const url = new URL(path, document.baseURI);
    if (user && !this.who.token()) url.searchParams.set("user_id", user); // a token says it itself
    if (feeds) url.searchParams.set("feeds", feeds.join());
    this.view.address.textContent = decodeURIComponent(url.pathname + url.search);
    return url;
  }
}

/** Over a WebSocket: each frame holds one object a line. */
export class SocketClient extends Client {
  open() {
    this.view.show("connecting");
    const url = this.address("ws");
    url.protocol = url.protocol.replace("http", "ws");
    const token = this.who.token();
    let socket;
    try {
      socket = new WebSocket(url, token ? ["herald.v1", `bearer.${token}`] : ["herald.v1"]);
    } catch {
      return this.stopped("this can't be a token");
    }
    this.connection = socket;
    const current = (act) => (event) => this.connection === socket && act(event);
    // At once, even with nothing to resume: the server waits a moment for it.
    socket.onopen = current(() => {
      const place = this.epoch ? { epoch: this.epoch, positions: this.positions } : {};
      socket.send(JSON.stringify({ resume: place }));
    });
    socket.onmessage = current(({ data }) => data.split("\n").forEach((line) => this.take(JSON.parse(line))));
    socket.onclose = current(({ code, reason }) => this.ended(code, reason || "closed"));
  }
}

/** Over an EventSource, which resumes by itself (Last-Event-ID) where only the connection broke. */
export class StreamClient extends Client {
  open() {
    this.view.show("connecting");
    const url = this.address("events/stream?protocol=1");
    if (this.who.token()) url.searchParams.set("token", this.who.token());
    if (this.cursor) url.searchParams.set("last_event_id", this.cursor);
    const stream = new EventSource(url);
    this.connection = stream;
    const current = (act) => (event) => this.connection === stream && act(event);
    stream.onmessage = current(({ data, lastEventId }) => {
      this.cursor = lastEventId;
      this.take(JSON.parse(data));
      if (this.bye) this.ended(this.bye.code, this.bye.reason);
    });
    stream.onerror = current(() => {
      clearTimeout(this.watchdog);
      if (stream.readyState === EventSource.CLOSED) this.askWhy(url, stream);
      else this.view.show("reconnecting", "when the browser sees fit");
    });
  }

  /** An EventSource that gave up does not say why: the status of the same request does. */
  async askWhy(url, stream) {
    const asking = new AbortController();
    let status = 0;
    let reason = "signed out";
    try {
      const answer = await fetch(url, { signal: asking.signal, cache: "no-store" });
      status = answer.status;
      if (status >= 400) {
        const problem = await answer.json();
        reason = problem.detail ?? problem.title;
      }
    } catch {
      // Not reached, or not Herald: later, then.
    }
    asking.abort();
    if (this.connection !== stream) return;
    if (status === 204 || (status >= 400 && status < 500)) {
      this.close();
      this.stopped(`${reason} (${status})`);
    } else this.ended(1006);
  }
}
