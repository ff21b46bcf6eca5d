// What a notification says is its publisher's: it is only ever set as textContent, never as HTML.

export const byId = (id) => document.getElementById(id);

export const fromTemplate = (id) => byId(id).content.cloneNode(true).firstElementChild;

export function make(tag, text, parent) {
  const element = parent.appendChild(document.createElement(tag));
  element.textContent = text;
  return element;
}

/** Shows a moment in a `time` element: today's by the clock, others by the date. */
export function showTime(element, text) {
  const time = new Date(text);
  const today = time.toDateString() === new Date().toDateString();
  element.textContent = today ? time.toLocaleTimeString() : time.toLocaleDateString();
  element.title = time.toLocaleString();
  element.dateTime = text;
}
