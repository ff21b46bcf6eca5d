import { fromTemplate, showTime } from "./dom.js";

/** One notification in the inbox's list. */
export class Row {
  constructor(inbox) {
    this.inbox = inbox;
    this.element = fromTemplate("item");
    const part = (name) => this.element.querySelector(`.${name}`);
    part("mark").onclick = () => inbox.mark(this, this.item.read ? "unread" : "read");
    part("archive").onclick = () => inbox.archive(this);
    part("mute").onclick = () => inbox.preferences.mute(this.item.type, !this.muted);
  }

  /** Whether more of this type will be muted: not whether this one was. */
  get muted() {
    return this.inbox.preferences.muted.includes(this.item.type);
  }

  show(item) {
    this.item = item;
    const { element } = this;
    element.dataset.seq = item.seq;
    element.classList.toggle("is-read", item.read);
    const set = (name, text) => (element.querySelector(name).textContent = text);
    set("b", item.title);
    set("p", item.message);
    set(".type", item.muted ? `${item.type} · muted` : item.type);
    showTime(element.querySelector("time"), item.time);
    this.name("mark", item.read ? "Mark unread" : "Mark read", item.title);
    this.name("archive", "Archive", item.title);
    this.name("mute", this.muted ? "Unmute" : "Mute", item.type);
  }

  /** What a button says; and to those who hear it, of what. */
  name(button, text, of) {
    const element = this.element.querySelector(`.${button}`);
    element.textContent = text;
    element.ariaLabel = `${text}: ${of}`;
  }
}
