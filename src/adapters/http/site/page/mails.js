import { byId, fromTemplate, showTime } from "./dom.js";
import { request } from "./rest.js";

const MAILS = "api/v1/mails";

// A mail is usually written within a second of its event.
const POLL_INTERVAL_MS = 600;
const POLLS_AFTER_EVENT = 5;

// The content of a mail comes from the publisher of its event: it may load nothing, and its links open in a new tab.
// These elements come first, because they apply only to what follows them.
const RESTRICTIONS = `
  <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
  <base target="_blank">`;

/** The mails that were written to a folder. Hidden if there is a mail server, or if this user may not read them. */
export class Mails {
  constructor() {
    this.section = byId("mails");
    this.list = byId("written");
    this.items = new Map(); // list items by mail id
    byId("refresh-mails").onclick = () => this.refresh();
    // For mails of events that this page does not receive.
    for (const type of ["focus", "visibilitychange"]) addEventListener(type, () => this.poll(1));
  }

  /** Shows the mails that `identity` may read: {token()}, or null to hide the section. */
  listen(identity) {
    this.identity = identity;
    this.pollsLeft = 0;
    clearTimeout(this.timer);
    this.timer = null;
    if (identity) return this.refresh();
    this.section.hidden = true;
    this.list.replaceChildren();
    this.items.clear();
  }

  /** Processes one object of herald.v1. */
  receive(object) {
    if (object.kind === "hello") this.poll(1);
    else if ("data" in object) this.poll();
  }

  /** Loads the list at least `polls` times, at intervals. */
  poll(polls = POLLS_AFTER_EVENT) {
    if (!this.identity || document.hidden) return;
    this.pollsLeft = Math.max(this.pollsLeft, polls);
    this.timer ??= setTimeout(() => this.pollOnce(), POLL_INTERVAL_MS);
  }

  async pollOnce() {
    const { identity } = this;
    this.pollsLeft -= 1;
    await this.refresh();
    if (identity !== this.identity) return;
    this.timer = this.pollsLeft > 0 ? setTimeout(() => this.pollOnce(), POLL_INTERVAL_MS) : null;
  }

  async refresh() {
    const { identity } = this;
    let mails, error;
    try {
      mails = (await this.request(MAILS)).items;
    } catch (caught) {
      error = caught;
    }
    if (identity !== this.identity) return; // the response belongs to another user
    if ([401, 403, 404].includes(error?.status)) return this.listen(null);
    this.showNote(error?.message);
    if (mails) this.show(mails);
    this.section.hidden = false;
  }

  /** Shows the mails, newest first. Existing items are not touched, and an open mail is not removed. */
  show(mails) {
    const kept = new Set(mails.map(({ id }) => id));
    for (const [id, item] of this.items) {
      if (kept.has(id) || item.querySelector("details").open) continue;
      item.remove();
      this.items.delete(id);
    }
    let next = this.list.firstElementChild;
    for (const mail of mails) {
      const item = this.items.get(mail.id);
      if (item) next = item.nextElementSibling;
      else this.list.insertBefore(this.makeItem(mail), next);
    }
  }

  makeItem({ id, to, subject, date }) {
    const item = fromTemplate("mail");
    item.querySelector("b").textContent = subject;
    item.querySelector(".to").textContent = to;
    showTime(item.querySelector("time"), date);
    item.querySelector("details").ontoggle = ({ target }) =>
      target.open ? this.open(target, id, subject) : target.querySelector("iframe")?.remove();
    this.items.set(id, item);
    return item;
  }

  async open(details, id, subject) {
    try {
      const html = await this.request(`${MAILS}/${id}`, "text");
      this.showNote();
      if (!details.open || details.querySelector("iframe")) return; // closed, or opened again, meanwhile
      details.append(Object.assign(fromTemplate("mail-body"), { title: subject, srcdoc: RESTRICTIONS + html }));
    } catch (error) {
      this.showNote(error.message);
    }
  }

  request(path, as) {
    return request("GET", path, { token: this.identity.token(), as });
  }

  showNote(text = "") {
    byId("mails-note").textContent = text;
  }
}
