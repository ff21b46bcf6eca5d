import { byId, fromTemplate, showTime } from "./dom.js";
import { ask } from "./rest.js";

const MAILS = "api/v1/mails";

// A mail is written within a second of its event, as a rule: milliseconds between two looks, and how many there are.
const WAIT = 600;
const LOOKS = 5;

// What a mail says is from its event's publisher: nothing is loaded, and its links open beside this page. It stands
// before all else, so that it binds all of that.
const CONFINED = `
  <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
  <base target="_blank">`;

/** The mails that were written to a folder. Where they are sent instead, or are not for this user, none are shown. */
export class Mails {
  constructor() {
    this.section = byId("mails");
    this.list = byId("written");
    this.items = new Map(); // by the mail's id
    byId("look").onclick = () => this.look();
    // For those of events that are not heard here.
    for (const sign of ["focus", "visibilitychange"]) addEventListener(sign, () => this.expect(1));
  }

  /** Shows what there is for `who`: {token()}, or null for nobody. */
  listen(who) {
    this.who = who;
    this.looks = 0;
    clearTimeout(this.timer);
    this.timer = null;
    if (who) return this.look();
    this.section.hidden = true;
    this.list.replaceChildren();
    this.items.clear();
  }

  /** One object of herald.v1. */
  take(object) {
    if (object.kind === "hello") this.expect(1);
    else if ("data" in object) this.expect();
  }

  /** Looks for new mails in a moment, and then some times more. */
  expect(looks = LOOKS) {
    if (!this.who || document.hidden) return;
    this.looks = Math.max(this.looks, looks);
    this.timer ??= setTimeout(() => this.lookAgain(), WAIT);
  }

  async lookAgain() {
    const { who } = this;
    this.looks -= 1;
    await this.look();
    if (who === this.who) this.timer = this.looks > 0 ? setTimeout(() => this.lookAgain(), WAIT) : null;
  }

  async look() {
    const { who } = this;
    let mails, fault;
    try {
      mails = (await this.ask(MAILS)).items;
    } catch (error) {
      fault = error;
    }
    if (who !== this.who) return; // they are another's
    if ([401, 403, 404].includes(fault?.status)) return this.listen(null);
    this.say(fault?.message);
    if (mails) this.show(mails);
    this.section.hidden = false;
  }

  /** Shows these, newest first. What is there already stays untouched, and so does the mail that is being read. */
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
      else this.list.insertBefore(this.item(mail), next);
    }
  }

  item({ id, to, subject, date }) {
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
      const html = await this.ask(`${MAILS}/${id}`, "text");
      this.say();
      if (!details.open || details.querySelector("iframe")) return; // it was closed meanwhile, or opened again
      details.append(Object.assign(fromTemplate("letter"), { title: subject, srcdoc: CONFINED + html }));
    } catch (fault) {
      this.say(fault.message);
    }
  }

  ask(path, as) {
    return ask("GET", path, { token: this.who.token(), as });
  }

  say(text = "") {
    byId("mails-note").textContent = text;
  }
}
