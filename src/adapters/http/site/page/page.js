import { Arrivals } from "./arrivals.js";
import { SocketClient, StreamClient } from "./clients.js";
import { byId, make } from "./dom.js";
import { Inbox } from "./inbox.js";
import { Mails } from "./mails.js";
import { request } from "./rest.js";
import { userOf } from "./tokens.js";

const RESULT_SHOWN_MS = 8000;

const about = await (await fetch(".", { headers: { accept: "application/json" }, cache: "no-store" })).json();
const needsToken = about.auth === "jwt";
const inbox = new Inbox();
const mails = new Mails();
const receiver = {
  receive: (object) => [inbox, mails].forEach((part) => part.receive(object)),
  stopped: (reason) => inbox.stopped(reason),
};
const clients = [
  new SocketClient(new Arrivals("WebSocket"), receiver),
  new StreamClient(new Arrivals("SSE"), receiver),
];
const token = () => byId("token").value.trim(); // not stored anywhere else

function connect() {
  const user = needsToken && !token() ? null : byId("user").value.trim(); // "" for a token without a user
  const boxes = [...byId("feeds").querySelectorAll("input")];
  // Without `feeds` in the request, the server sends every feed that the user may read.
  const selected = boxes.filter((box) => box.checked && (user !== null || box.name === "public"));
  const feeds = boxes.every((box) => box.checked) ? null : selected.map((box) => box.value);
  [inbox, ...clients].forEach((part) => part.listen({ user, feeds, token }));
  mails.listen(user === null ? null : { token });
  showCommand();
}

/** The request body of a sample, with `{user}` replaced in all of its strings. */
function bodyOf({ source, payload }) {
  const user = byId("user").value.trim();
  const replaceUser = (_, value) => (typeof value === "string" ? value.replaceAll("{user}", () => user) : value);
  return JSON.stringify({ source, payload }, replaceUser);
}

let resultTimer;
function showResult(text, isError = false) {
  byId("result").textContent = text;
  byId("result").classList.toggle("bad", isError);
  clearTimeout(resultTimer);
  resultTimer = setTimeout(() => (byId("result").textContent = ""), RESULT_SHOWN_MS);
}

async function send(sample) {
  showCommand(sample);
  try {
    const { ids } = await request("POST", "api/v1/events", { token: token(), body: bodyOf(sample) });
    showResult(`Stored: ${ids.join()}`);
    mails.poll();
  } catch (error) {
    showResult(error.message, true);
  }
}

let shownSample;
function showCommand(sample = shownSample) {
  shownSample = sample;
  if (!sample) return;
  const body = bodyOf(sample).replaceAll("'", "'\\''");
  const authorization = needsToken ? ' \\\n  -H "Authorization: Bearer $TOKEN"' : "";
  const url = new URL("api/v1/events", document.baseURI);
  byId("command").textContent =
    `curl ${url}${authorization} \\\n  -H 'Content-Type: application/json' \\\n  -d '${body}'`;
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
    shownSample ??= sample;
  }
}
byId("with-token").hidden = !needsToken;
byId("user").readOnly = needsToken;
byId("user").required = !needsToken;
if (needsToken) byId("user").value = "";
byId("token").oninput = () => {
  byId("user").value = userOf(token(), about.userClaim) ?? "";
  showCommand();
};
byId("identity").onsubmit = (event) => {
  event.preventDefault();
  connect();
};
byId("user").oninput = () => showCommand();
byId("copy").onclick = async () => {
  getSelection().selectAllChildren(byId("command"));
  // The clipboard is available on secure origins only; on others the text stays selected.
  await navigator.clipboard?.writeText(byId("command").textContent);
  showResult(navigator.clipboard ? "Copied." : "Selected: copy it with the keyboard.");
};
connect();
