import { byId, fromTemplate, showLink, showTime } from "./dom.js";

const MAX_ARRIVALS = 100;

/** The column of one client: its state and the entries it received, newest first. */
export class Arrivals {
  constructor(name) {
    const section = fromTemplate("client");
    this.section = byId("clients").appendChild(section);
    section.querySelector("h2").textContent = name;
    for (const part of [section, section.querySelector("ol")]) part.ariaLabel = name;
    this.reconnectButton = section.querySelector("button");
    this.address = section.querySelector(".address");
    this.arrivals = section.querySelector(".arrivals");
    this.items = new Map(); // list items by notification id
  }

  showState(state, detail = "") {
    this.section.dataset.state = state;
    const [stateElement, detailElement] = this.section.querySelectorAll(".state b, .state span");
    // Screen readers announce every assignment, so assign only changes.
    if (stateElement.textContent !== state) stateElement.textContent = state;
    detailElement.textContent = detail;
    this.reconnectButton.hidden = state !== "stopped";
  }

  clear() {
    this.arrivals.replaceChildren();
    this.items.clear();
    this.showUnread("–");
  }

  /** Shows the unread total of the inbox; does nothing if the object had none. */
  showUnread(unread) {
    if (unread !== undefined) this.section.querySelector(".unread").textContent = unread;
  }

  /** Adds an entry, or updates the item of the same id. An unknown entry that is not new is ignored. */
  put(object, isNew) {
    this.showUnread(object.unread);
    let item = this.items.get(object.id);
    if (!item && !isNew) return;
    if (!item) {
      item = fromTemplate("arrival");
      this.items.set(object.id, item);
      this.add(item);
    }
    const setText = (selector, text) => (item.querySelector(selector).textContent = text);
    const isRead = object.kind === "notification" ? object.read : object.kind === "read";
    const status = object.kind === "archived" ? "archived" : isRead ? "read" : "";
    item.className = status && `is-${status}`;
    setText(".status", status && `${status} ·`);
    if (!("data" in object)) return; // a state change has no content
    setText("b", object.type);
    setText(".position", `${object.kind} · ${object.stream} ${object.seq} ·`);
    showLink(item.querySelector("p"), [object.title, object.message].filter(Boolean).join(": "), object.url);
    setText("code", JSON.stringify(object.data));
    showTime(item.querySelector("time"), object.time);
  }

  addGap(streams) {
    const item = document.createElement("li");
    item.className = "gap";
    item.textContent = `Gap: entries may be missing before this one, in ${streams.join(", ")}.`;
    this.add(item);
  }

  add(item) {
    this.arrivals.prepend(item);
    if (this.arrivals.children.length <= MAX_ARRIVALS) return;
    const oldest = this.arrivals.lastElementChild;
    oldest.remove();
    for (const [id, other] of this.items) if (other === oldest) this.items.delete(id);
  }
}
