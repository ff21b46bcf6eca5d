// Text from publishers is only ever assigned to textContent, never parsed as HTML.

export const byId = (id) => document.getElementById(id);

export const fromTemplate = (id) => byId(id).content.cloneNode(true).firstElementChild;

export function make(tag, text, parent) {
  const element = parent.appendChild(document.createElement(tag));
  element.textContent = text;
  return element;
}

/** Returns the URL of a notification, resolved against this page, if it is an http or https URL; else null. */
export function safeUrl(text) {
  try {
    const url = new URL(text, document.baseURI);
    return ["http:", "https:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** Shows a text in an element; as a link that opens in a new tab, if there is a URL that is safe to open. */
export function showLink(element, text, url) {
  const href = url && safeUrl(url);
  if (!href) return void (element.textContent = text);
  element.replaceChildren();
  Object.assign(make("a", text, element), { href, target: "_blank", rel: "noopener" });
}

/** Shows a time in a `time` element: the time of day if it is today, otherwise the date. */
export function showTime(element, text) {
  const time = new Date(text);
  const isToday = time.toDateString() === new Date().toDateString();
  element.textContent = isToday ? time.toLocaleTimeString() : time.toLocaleDateString();
  element.title = time.toLocaleString();
  element.dateTime = text;
}
