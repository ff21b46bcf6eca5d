import { byId, make } from "./dom.js";

const PREFERENCES = "api/v2/preferences";
const TYPES = "api/v2/types";

/** The preferences of live delivery. They do not affect what the inbox stores. */
export class Preferences {
  constructor(inbox) {
    this.inbox = inbox;
    this.muted = [];
    this.titles = new Map(); // of types
    byId("push").onchange = ({ target }) => this.change(() => ({ websocket_notifications: target.checked }));
  }

  load() {
    return this.showResultOf(async () => {
      const [types, preferences] = await Promise.all([
        this.inbox.request("GET", TYPES).catch(() => ({ data: [] })), // a node of the version before has none
        this.inbox.request("GET", PREFERENCES),
      ]);
      this.titles = new Map(types.data.map(({ type, title }) => [type, title]));
      return preferences;
    });
  }

  mute(type, muted) {
    return this.change(({ muted_types }) => {
      const others = muted_types.filter((other) => other !== type);
      return { muted_types: muted ? [...others, type] : others };
    });
  }

  /** Applies `changesOf` to the present preferences, which another tab may have changed. */
  change(changesOf) {
    return this.showResultOf(async () => {
      const body = JSON.stringify(changesOf(await this.inbox.request("GET", PREFERENCES)));
      return this.inbox.request("PATCH", PREFERENCES, { body });
    });
  }

  async showResultOf(send) {
    const { identity } = this.inbox;
    let preferences, error;
    try {
      preferences = await send();
    } catch (caught) {
      error = caught;
    }
    if (identity !== this.inbox.identity) return; // the response belongs to another user
    byId("preferences-note").textContent = error?.message ?? "";
    if (preferences) this.show(preferences);
  }

  show({ websocket_notifications, muted_types }) {
    this.muted = muted_types;
    byId("push").checked = websocket_notifications;
    byId("muted").replaceChildren();
    for (const type of muted_types) {
      const title = this.titles.get(type);
      const item = make("li", title ? `${title} (${type}) ` : `${type} `, byId("muted"));
      const button = make("button", "Unmute", item);
      Object.assign(button, { type: "button", ariaLabel: `Unmute: ${type}`, onclick: () => this.mute(type, false) });
    }
    this.inbox.rows.forEach((row) => row.show(row.item));
  }
}
