// Text from publishers is only ever assigned to textContent, never parsed as HTML.

export const byId = (id) => document.getElementById(id);

export const fromTemplate = (id) => byId(id).content.cloneNode(true).firstElementChild;

export function make(tag, text, parent) {
  const element = parent.appendChild(document.createElement(tag));
  element.textContent = text;
  return element;
}

/** Shows a time in a `time` element: the time of day if it is today, otherwise the date. */
export function showTime(element, text) {
  const time = new Date(text);
  const isToday = time.toDateString() === new Date().toDateString();
  element.textContent = isToday ? time.toLocaleTimeString() : time.toLocaleDateString();
  element.title = time.toLocaleString();
  element.dateTime = text;
}
