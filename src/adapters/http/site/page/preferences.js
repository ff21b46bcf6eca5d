import { byId, make } from "./dom.js";

const PREFERENCES = "api/v2/preferences";

/** What the user wants to be told at once. All else is in the inbox all the same. */
export class Preferences {
  constructor(inbox) {
    this.inbox = inbox;
    this.muted = [];
    byId("push").onchange = ({ target }) => this.change(() => ({ websocket_notifications: target.checked }));
  }

  load() {
    return this.showing(() => this.inbox.ask("GET", PREFERENCES));
  }

  mute(type, muted) {
    return this.change(({ muted_types }) => {
      const others = muted_types.filter((each) => each !== type);
      return { muted_types: muted ? [...others, type] : others };
    });
  }

  /** Changes what `wish` makes of them as they are now: another tab may have changed them since. */
  change(wish) {
    return this.showing(async () => {
      const body = JSON.stringify(wish(await this.inbox.ask("GET", PREFERENCES)));
      return this.inbox.ask("PATCH", PREFERENCES, { body });
    });
  }

  async showing(asking) {
    const { who } = this.inbox;
    let preferences, fault;
    try {
      preferences = await asking();
    } catch (error) {
      fault = error;
    }
    if (who !== this.inbox.who) return; // they are another's
    byId("preferences-note").textContent = fault?.message ?? "";
    if (preferences) this.show(preferences);
  }

  show({ websocket_notifications, muted_types }) {
    this.muted = muted_types;
    byId("push").checked = websocket_notifications;
    byId("muted").replaceChildren();
    for (const type of muted_types) {
      const item = make("li", `${type} `, byId("muted"));
      const button = make("button", "Unmute", item);
      Object.assign(button, { type: "button", ariaLabel: `Unmute: ${type}`, onclick: () => this.mute(type, false) });
    }
    this.inbox.rows.forEach((row) => row.show(row.item));
  }
}
