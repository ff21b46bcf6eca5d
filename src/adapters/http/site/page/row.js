import { fromTemplate, showLink, showTime } from "./dom.js";

/** One notification in the list of the inbox. */
export class Row {
  constructor(inbox) {
    this.inbox = inbox;
    this.element = fromTemplate("item");
    const button = (name) => this.element.querySelector(`.${name}`);
    button("mark").onclick = () => inbox.mark(this, this.item.read ? "unread" : "read");
    button("archive").onclick = () => inbox.archive(this);
    button("mute").onclick = () => inbox.preferences.mute(this.item.type, !this.isTypeMuted);
  }

  /** Whether the type is muted now; `item.muted` is whether it was when the notification was stored. */
  get isTypeMuted() {
    return this.inbox.preferences.muted.includes(this.item.type);
  }

  show(item) {
    this.item = item;
    const { element } = this;
    element.dataset.seq = item.seq;
    element.classList.toggle("is-read", item.read);
    const setText = (selector, text) => (element.querySelector(selector).textContent = text);
    showLink(element.querySelector("b"), item.title, item.url);
    setText("p", item.message);
    setText(".type", item.muted ? `${item.type} · muted` : item.type);
    element.querySelector(".type").title = this.inbox.preferences.titles.get(item.type) ?? "";
    showTime(element.querySelector("time"), item.time);
    this.labelButton("mark", item.read ? "Mark unread" : "Mark read", item.title);
    this.labelButton("archive", "Archive", item.title);
    this.labelButton("mute", this.isTypeMuted ? "Unmute" : "Mute", item.type);
  }

  /** Sets the text of a button. Screen readers also read what it applies to. */
  labelButton(name, text, target) {
    const button = this.element.querySelector(`.${name}`);
    button.textContent = text;
    button.ariaLabel = `${text}: ${target}`;
  }
}
