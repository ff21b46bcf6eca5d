import { byId } from "./dom.js";
import { Preferences } from "./preferences.js";
import { ask } from "./rest.js";
import { Row } from "./row.js";

const LEAF = 10; // how many the list begins with, and "Older" adds
const MOST_AT_ONCE = 100; // what Herald gives in one answer
const MOST_ROWS = 500;
const NOTIFICATIONS = "api/v2/notifications";

/** The user's inbox: read over REST, and kept in step by what the clients of herald.v1 hear. */
export class Inbox {
  constructor() {
    this.list = byId("items");
    this.rows = new Map(); // by the notification's id
    this.preferences = new Preferences(this);
    byId("unread-only").onchange = () => this.reload();
    byId("refresh").onclick = () => this.reload();
    byId("older").onclick = () => this.older();
    byId("read-all").onclick = () =>
      this.all("PUT", "mark-all-read", (newest) => ({ body: JSON.stringify({ up_to: newest }) }));
    byId("clear").onclick = () => {
      const question = "Clear the inbox up to the newest that is shown? This can't be taken back.";
      if (confirm(question)) this.all("DELETE", "clear-all", (newest) => ({ query: { up_to: newest } }));
    };
  }

  /** Shows the inbox of `who`: {user, token()}, as soon as a client has said `hello`. */
  listen(who) {
    if (who.user !== this.who?.user || !who.user) this.empty();
    this.who = who;
    this.epoch = null; // of the store that the list was read from
    this.loading = null; // {waiting}: what was heard while the list is being read
    byId("inbox").dataset.of = who.user === null ? "nobody" : "somebody";
    this.say(who.user === null ? "An inbox belongs to someone: connect with a token." : "");
  }

  /** A client was refused: without a list, this says why there is none. */
  stopped(reason) {
    if (this.epoch === null && this.who.user !== null) this.say(`The inbox can't be read: ${reason}`, true);
  }

  /** Asks for something of this user's. */
  ask(method, path, { query, body } = {}) {
    const token = this.who.token();
    return ask(method, path, { token, query: { user_id: token ? null : this.who.user, ...query }, body });
  }

  // ---- what is heard

  /** One object of herald.v1. The same may come again, from the other client. */
  take(object) {
    if (object.kind === "hello") {
      if (!("inbox" in object.positions)) return;
      if (object.epoch !== this.epoch || object.gap.includes("inbox")) {
        this.epoch = object.epoch;
        this.position = 0;
        this.reload();
      }
      this.count(this.position, object.unread); // as of now, wherever the session goes on from
    } else if (object.stream !== "inbox") return;
    else if (object.kind === "gap") this.reload();
    else if (this.loading) this.loading.waiting.push(object);
    else this.apply(object);
  }

  apply(object) {
    const { id, seq, changed = seq, kind } = object;
    this.count(changed, object.unread);
    const row = this.rows.get(id);
    if (row && changed < row.item.changed) return;
    if (kind === "archived") this.remove(row);
    else if (kind === "notification") this.put({ ...object, changed, muted: false });
    else if (row) this.put({ ...row.item, changed, read: kind === "read" });
    else if (seq > this.floor && !(this.unreadOnly && kind === "read")) this.reload(); // muted, or filtered out so far
    if (this.rows.size > MOST_ROWS) this.reload();
  }

  /** Shows how many are unread, as of a position. */
  count(position, unread) {
    if (unread === undefined || position < this.position) return;
    this.position = position;
    const text = `${unread} unread`;
    if (byId("unread").textContent !== text) byId("unread").textContent = text; // it is read aloud when set
    document.title = unread ? `(${unread}) Herald, live` : "Herald, live";
  }

  // ---- what is read

  get unreadOnly() {
    return byId("unread-only").checked;
  }

  reload() {
    this.preferences.load();
    return this.load(null, Math.min(Math.max(this.rows.size, LEAF), MOST_AT_ONCE));
  }

  async older() {
    if (!this.loading) await this.load(this.next, LEAF);
  }

  /** Reads the list anew, or what follows `cursor`. What is heard meanwhile is put on top of it. */
  async load(cursor, limit) {
    const loading = (this.loading = { waiting: [] });
    this.list.setAttribute("aria-busy", "true");
    const query = { limit, cursor, is_read: this.unreadOnly ? false : null };
    let answer, fault;
    try {
      answer = await this.ask("GET", NOTIFICATIONS, { query });
    } catch (error) {
      fault = error;
    }
    if (this.loading !== loading) return; // the list is being read anew, or is another's
    if (answer) this.show(answer, !cursor);
    else this.epoch = null; // to be read with the next hello
    if (fault || this.failed) this.say(fault?.message, true);
    this.loading = null;
    this.list.setAttribute("aria-busy", "false");
    loading.waiting.forEach((object) => this.apply(object));
  }

  show({ data, meta }, anew) {
    this.list.dataset.loaded = "";
    const items = data.map(asItem);
    if (anew) {
      const kept = new Set(items.map(({ id }) => id));
      for (const [id, row] of this.rows) if (!kept.has(id)) this.remove(row);
    }
    this.next = meta.next_cursor;
    this.floor = this.next ? items.at(-1).seq : 0; // older ones are not shown yet
    items.forEach((item) => this.put(item));
    byId("older").hidden = !this.next;
    this.count(Math.max(this.position, ...items.map(({ changed }) => changed)), meta.unread_count);
  }

  // ---- what is shown

  empty() {
    this.rows.forEach((row) => this.remove(row));
    delete this.list.dataset.loaded;
    this.position = 0;
    this.floor = 0;
    this.next = null;
    byId("older").hidden = true;
    byId("unread").textContent = "";
    document.title = "Herald, live";
  }

  /** Adds a notification, by its seq, or changes the row that shows it. */
  put(item) {
    let row = this.rows.get(item.id);
    if (this.unreadOnly && item.read) return this.remove(row);
    if (item.seq < this.floor) return;
    if (!row) {
      row = new Row(this);
      this.rows.set(item.id, row);
      const older = [...this.list.children].find((element) => Number(element.dataset.seq) < item.seq);
      this.list.insertBefore(row.element, older ?? null);
    }
    row.show(item);
  }

  remove(row) {
    if (!row) return;
    const { element } = row;
    // Whoever is here with the keyboard goes on with the one beside it.
    if (element.contains(document.activeElement)) {
      const beside = element.nextElementSibling ?? element.previousElementSibling;
      (beside?.querySelector(`.${document.activeElement.className}`) ?? this.list).focus();
    }
    element.remove();
    this.rows.delete(row.item.id);
  }

  say(text = "", bad = false) {
    this.failed = bad;
    const note = byId("inbox-note");
    note.textContent = text;
    note.classList.toggle("bad", bad);
  }

  // ---- what is done

  /** Does something; says in words what went wrong. What comes of it is heard like what is done elsewhere. */
  async act(doing) {
    try {
      this.say(await doing());
    } catch (fault) {
      this.say(fault.message, true);
    }
  }

  mark(row, mark) {
    return this.act(async () => {
      const item = asItem(await this.ask("PUT", `${NOTIFICATIONS}/${row.item.id}/${mark}`));
      const now = this.rows.get(item.id);
      if (now && now.item.changed <= item.changed) this.put(item);
    });
  }

  archive(row) {
    return this.act(async () => {
      await this.ask("DELETE", `${NOTIFICATIONS}/${row.item.id}`);
      this.remove(this.rows.get(row.item.id));
    });
  }

  /** To all, up to the newest that is shown: what nobody has seen yet stays as it is. */
  all(method, path, upTo) {
    return this.act(async () => {
      if (!this.rows.size) return "There is nothing here.";
      const newest = Math.max(...[...this.rows.values()].map((row) => row.item.seq));
      const { message } = await this.ask(method, `${NOTIFICATIONS}/${path}`, upTo(newest));
      this.reload();
      return message;
    });
  }
}

/** A notification as the list needs it, from REST's. The clients hear it in this shape. */
function asItem(item) {
  const { id, seq, changed, title, message, notification_type: type, time } = item;
  return { id, seq, changed, title, message, type, time, read: item.is_read, muted: item.is_muted };
}
