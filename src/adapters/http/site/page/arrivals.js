import { byId, fromTemplate, showTime } from "./dom.js";

const MOST_ARRIVALS = 100;

/** What one client heard, newest first. */
export class Arrivals {
  constructor(name) {
    const section = fromTemplate("client");
    this.section = byId("clients").appendChild(section);
    section.querySelector("h2").textContent = name;
    for (const part of [section, section.querySelector("ol")]) part.ariaLabel = name;
    this.again = section.querySelector("button");
    this.address = section.querySelector(".address");
    this.arrivals = section.querySelector(".arrivals");
    this.entries = new Map(); // list items by the notification's id
  }

  show(state, detail = "") {
    this.section.dataset.state = state;
    const [word, more] = this.section.querySelectorAll(".state b, .state span");
    if (word.textContent !== state) word.textContent = state; // it is read aloud when set
    more.textContent = detail;
    this.again.hidden = state !== "stopped";
  }

  clear() {
    this.arrivals.replaceChildren();
    this.entries.clear();
    this.count("–");
  }

  /** Shows the inbox's unread total, where the server has told it. */
  count(unread) {
    if (unread !== undefined) this.section.querySelector(".unread").textContent = unread;
  }

  /** Adds an entry, or changes the one with its id. */
  put(object, isNew) {
    this.count(object.unread);
    let item = this.entries.get(object.id);
    if (!item && !isNew) return;
    if (!item) {
      item = fromTemplate("arrival");
      this.entries.set(object.id, item);
      this.add(item);
    }
    const set = (name, text) => (item.querySelector(name).textContent = text);
    const read = object.kind === "notification" ? object.read : object.kind === "read";
    const mark = object.kind === "archived" ? "archived" : read ? "read" : "";
    item.className = mark && `is-${mark}`;
    set(".mark", mark && `${mark} ·`);
    if (!("data" in object)) return; // read, unread or archived: the rest is as it was
    set("b", object.type);
    set(".place", `${object.kind} · ${object.stream} ${object.seq} ·`);
    set("p", [object.title, object.message].filter(Boolean).join(": "));
    set("code", JSON.stringify(object.data));
    showTime(item.querySelector("time"), object.time); // the event's own
  }

  gap(streams) {
    const item = document.createElement("li");
    item.className = "gap";
    item.textContent = `Gap: something may be missing before this, in ${streams.join(", ")}.`;
    this.add(item);
  }

  add(item) {
    this.arrivals.prepend(item);
    if (this.arrivals.children.length <= MOST_ARRIVALS) return;
    const oldest = this.arrivals.lastElementChild;
    oldest.remove();
    for (const [id, entry] of this.entries) if (entry === oldest) this.entries.delete(id);
  }
}
