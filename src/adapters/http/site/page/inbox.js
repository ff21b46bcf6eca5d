import { byId } from "./dom.js";
import { Preferences } from "./preferences.js";
import { request } from "./rest.js";
import { Row } from "./row.js";

const PAGE_SIZE = 10; // of the first page, and of each "Older"
const MAX_PAGE_SIZE = 100; // the API's limit
const MAX_ROWS = 500;
const NOTIFICATIONS = "api/v2/notifications";

/** The user's inbox: loaded over REST, and updated by the objects that the herald.v1 clients receive. */
export class Inbox {
  constructor() {
    this.list = byId("items");
    this.rows = new Map(); // by notification id
    this.preferences = new Preferences(this);
    byId("unread-only").onchange = () => this.reload();
    byId("refresh").onclick = () => this.reload();
    byId("older").onclick = () => this.loadOlder();
    byId("read-all").onclick = () =>
      this.changeAll("PUT", "mark-all-read", (newest) => ({ body: JSON.stringify({ up_to: newest }) }));
    byId("clear").onclick = () => {
      const question = "Clear the inbox, up to the newest notification shown? This cannot be undone.";
      if (confirm(question)) this.changeAll("DELETE", "clear-all", (newest) => ({ query: { up_to: newest } }));
    };
  }

  /** Shows the inbox of `identity`: {user, token()}. Loads it when a client receives `hello`. */
  listen(identity) {
    if (identity.user !== this.identity?.user || !identity.user) this.empty();
    this.identity = identity;
    this.epoch = null; // of the store that the list was loaded from
    this.loading = null; // {pending}: the objects received while the list is being loaded
    byId("inbox").dataset.identity = identity.user === null ? "anonymous" : "user";
    this.showNote(identity.user === null ? "Connect with a token to see an inbox." : "");
  }

  /** A client was refused: if the list is not loaded, shows the reason. */
  stopped(reason) {
    if (this.epoch === null && this.identity.user !== null) {
      this.showNote(`The inbox cannot be loaded: ${reason}`, true);
    }
  }

  /** Sends a request as this user. */
  request(method, path, { query, body } = {}) {
    const token = this.identity.token();
    return request(method, path, { token, query: { user_id: token ? null : this.identity.user, ...query }, body });
  }

  // ---- received objects

  /** Processes one object of herald.v1. Both clients receive each object, so each comes twice. */
  receive(object) {
    if (object.kind === "hello") {
      if (!("inbox" in object.positions)) return;
      if (object.epoch !== this.epoch || object.gap.includes("inbox")) {
        this.epoch = object.epoch;
        this.position = 0;
        this.reload();
      }
      this.showUnread(this.position, object.unread); // the present total, wherever the session resumes
    } else if (object.stream !== "inbox") return;
    else if (object.kind === "gap") this.reload();
    else if (!object.id) return; // `seen` is about no single notification
    else if (this.loading) this.loading.pending.push(object);
    else this.apply(object);
  }

  apply(object) {
    const { id, seq, changed = seq, kind } = object;
    this.showUnread(changed, object.unread);
    const row = this.rows.get(id);
    if (row && changed < row.item.changed) return;
    if (kind === "archived") this.remove(row);
    else if (kind === "notification") this.put({ ...object, changed, muted: false });
    else if (row) this.put({ ...row.item, changed, read: kind === "read" });
    else if (seq > this.oldestShown && !(this.unreadOnly && kind === "read")) this.reload(); // muted, or filtered out
    if (this.rows.size > MAX_ROWS) this.reload();
  }

  /** Shows the unread total at a position; ignores totals of earlier positions. */
  showUnread(position, unread) {
    if (unread === undefined || position < this.position) return;
    this.position = position;
    const text = `${unread} unread`;
    // Screen readers announce every assignment, so assign only changes.
    if (byId("unread").textContent !== text) byId("unread").textContent = text;
    document.title = unread ? `(${unread}) Herald, live` : "Herald, live";
  }

  // ---- loading

  get unreadOnly() {
    return byId("unread-only").checked;
  }

  reload() {
    this.preferences.load();
    return this.load(null, Math.min(Math.max(this.rows.size, PAGE_SIZE), MAX_PAGE_SIZE));
  }

  async loadOlder() {
    if (!this.loading) await this.load(this.nextCursor, PAGE_SIZE);
  }

  /** Loads the first page, or the one at `cursor`. Objects received meanwhile are applied afterwards. */
  async load(cursor, limit) {
    const loading = (this.loading = { pending: [] });
    this.list.setAttribute("aria-busy", "true");
    const query = { limit, cursor, is_read: this.unreadOnly ? false : null };
    let page, error;
    try {
      page = await this.request("GET", NOTIFICATIONS, { query });
    } catch (caught) {
      error = caught;
    }
    if (this.loading !== loading) return; // superseded by another load, or by another user
    if (page) this.show(page, !cursor);
    else this.epoch = null; // load again at the next hello
    if (error || this.showsError) this.showNote(error?.message, true);
    this.loading = null;
    this.list.setAttribute("aria-busy", "false");
    loading.pending.forEach((object) => this.apply(object));
  }

  show({ data, meta }, isFirstPage) {
    this.list.dataset.loaded = "";
    const items = data.map(fromRest);
    if (isFirstPage) {
      const kept = new Set(items.map(({ id }) => id));
      for (const [id, row] of this.rows) if (!kept.has(id)) this.remove(row);
    }
    this.nextCursor = meta.next_cursor;
    this.oldestShown = this.nextCursor ? items.at(-1).seq : 0;
    items.forEach((item) => this.put(item));
    byId("older").hidden = !this.nextCursor;
    this.showUnread(Math.max(this.position, ...items.map(({ changed }) => changed)), meta.unread_count);
  }

  // ---- the list

  empty() {
    this.rows.forEach((row) => this.remove(row));
    delete this.list.dataset.loaded;
    this.position = 0;
    this.oldestShown = 0;
    this.nextCursor = null;
    byId("older").hidden = true;
    byId("unread").textContent = "";
    document.title = "Herald, live";
  }

  /** Inserts a notification in the order of `seq`, or updates its row. */
  put(item) {
    let row = this.rows.get(item.id);
    if (this.unreadOnly && item.read) return this.remove(row);
    if (item.seq < this.oldestShown) return;
    if (!row) {
      row = new Row(this);
      this.rows.set(item.id, row);
      const next = [...this.list.children].find((element) => Number(element.dataset.seq) < item.seq);
      this.list.insertBefore(row.element, next ?? null);
    }
    row.show(item);
  }

  remove(row) {
    if (!row) return;
    const { element } = row;
    // Keep the keyboard focus: move it to the same button of the neighbouring row.
    if (element.contains(document.activeElement)) {
      const neighbour = element.nextElementSibling ?? element.previousElementSibling;
      (neighbour?.querySelector(`.${document.activeElement.className}`) ?? this.list).focus();
    }
    element.remove();
    this.rows.delete(row.item.id);
  }

  showNote(text = "", isError = false) {
    this.showsError = isError;
    const note = byId("inbox-note");
    note.textContent = text;
    note.classList.toggle("bad", isError);
  }

  // ---- actions

  /** Runs an action and shows the text it returns, or its error. */
  async act(action) {
    try {
      this.showNote(await action());
    } catch (error) {
      this.showNote(error.message, true);
    }
  }

  mark(row, state) {
    return this.act(async () => {
      const item = fromRest(await this.request("PUT", `${NOTIFICATIONS}/${row.item.id}/${state}`));
      const current = this.rows.get(item.id);
      if (current && current.item.changed <= item.changed) this.put(item);
    });
  }

  archive(row) {
    return this.act(async () => {
      await this.request("DELETE", `${NOTIFICATIONS}/${row.item.id}`);
      this.remove(this.rows.get(row.item.id));
    });
  }

  /** Changes all notifications up to the newest one shown; later ones, which the user has not seen, stay unchanged. */
  changeAll(method, path, options) {
    return this.act(async () => {
      if (!this.rows.size) return "There are no notifications.";
      const newest = Math.max(...[...this.rows.values()].map((row) => row.item.seq));
      const { message } = await this.request(method, `${NOTIFICATIONS}/${path}`, options(newest));
      this.reload();
      return message;
    });
  }
}

/** Converts a notification of the REST API to the shape that herald.v1 has. */
function fromRest(item) {
  const { id, seq, changed, title, message, url, notification_type: type, time } = item;
  return { id, seq, changed, title, message, url, type, time, read: item.is_read, muted: item.is_muted };
}
