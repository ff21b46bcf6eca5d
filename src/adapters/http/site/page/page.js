import { Arrivals } from "./arrivals.js";
import { SocketClient, StreamClient } from "./clients.js";
import { byId, make } from "./dom.js";
import { Inbox } from "./inbox.js";
import { Mails } from "./mails.js";
import { ask } from "./rest.js";
import { userOf } from "./tokens.js";

const about = await (await fetch(".", { headers: { accept: "application/json" }, cache: "no-store" })).json();
const needsToken = about.auth === "jwt";
const inbox = new Inbox();
const mails = new Mails();
const both = {
  take: (object) => [inbox, mails].forEach((each) => each.take(object)),
  stopped: (reason) => inbox.stopped(reason),
};
const clients = [
  new SocketClient(new Arrivals("WebSocket"), both),
  new StreamClient(new Arrivals("SSE"), both),
];
const token = () => byId("token").value.trim(); // kept nowhere else

function connect() {
  const user = needsToken && !token() ? null : byId("user").value.trim(); // "" for a token that names no user
  const boxes = [...byId("feeds").querySelectorAll("input")];
  // Not to name any feed is to ask for all that are open to the user.
  const named = boxes.filter((box) => box.checked && (user !== null || box.name === "public"));
  const feeds = boxes.every((box) => box.checked) ? null : named.map((box) => box.value);
  [inbox, ...clients].forEach((each) => each.listen({ user, feeds, token }));
  mails.listen(user === null ? null : { token });
  showCommand();
}

/** The sample with `{user}` replaced, wherever it stands in a string. */
function filledIn({ source, payload }) {
  const user = byId("user").value.trim();
  const fill = (_, value) => (typeof value === "string" ? value.replaceAll("{user}", () => user) : value);
  return JSON.stringify({ source, payload }, fill);
}

let answerTimer;
function answer(text, bad = false) {
  byId("answer").textContent = text;
  byId("answer").classList.toggle("bad", bad);
  clearTimeout(answerTimer);
  answerTimer = setTimeout(() => (byId("answer").textContent = ""), 8000);
}

async function send(sample) {
  showCommand(sample);
  try {
    const { ids } = await ask("POST", "api/v1/events", { token: token(), body: filledIn(sample) });
    answer(`Stored: ${ids.join()}`);
    mails.expect();
  } catch (fault) {
    answer(fault.message, true);
  }
}

let shown;
function showCommand(sample = shown) {
  shown = sample;
  if (!sample) return;
  const body = filledIn(sample).replaceAll("'", "'\\''");
  const bearer = needsToken ? ' \\\n  -H "Authorization: Bearer $TOKEN"' : "";
  byId("command").textContent =
    `curl ${new URL("api/v1/events", document.baseURI)}${bearer} \\\n  -H 'Content-Type: application/json' \\\n  -d '${body}'`;
}

for (const profile of about.profiles) {
  for (const feed of profile.feeds) {
    const label = make("label", "", byId("feeds"));
    const box = label.appendChild(document.createElement("input"));
    Object.assign(box, { type: "checkbox", name: feed.access, value: feed.name, checked: true, onchange: connect });
    label.append(needsToken && feed.access !== "public" ? ` ${feed.name} (${feed.access})` : ` ${feed.name}`);
  }
  if (!profile.samples.length) continue;
  const group = byId("samples").appendChild(document.createElement("fieldset"));
  make("legend", profile.name, group);
  for (const sample of profile.samples) {
    const button = make("button", sample.title, group);
    Object.assign(button, { type: "button", title: sample.source, onclick: () => send(sample) });
    shown ??= sample;
  }
}
byId("with-token").hidden = !needsToken;
byId("user").readOnly = needsToken;
byId("user").required = !needsToken;
if (needsToken) byId("user").value = "";
byId("token").oninput = () => {
  byId("user").value = userOf(token()) ?? "";
  showCommand();
};
byId("identity").onsubmit = (event) => {
  event.preventDefault();
  connect();
};
byId("user").oninput = () => showCommand();
byId("copy").onclick = async () => {
  getSelection().selectAllChildren(byId("command"));
  // Only pages of a safe origin may write there; elsewhere the text is selected at least.
  await navigator.clipboard?.writeText(byId("command").textContent);
  answer(navigator.clipboard ? "Copied." : "Selected: copy it with the keyboard.");
};
connect();
