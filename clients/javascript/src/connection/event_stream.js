import { NOT_HERALD, problemOf } from '../rest/problem.js';
import { byFetch, endpoint } from './transport.js';
import { afterClose, afterProblem, SIGNED_OUT } from './close_codes.js';

/** @typedef {import('./positions.js').ServerObject} ServerObject */

const TYPE = 'text/event-stream';

/** An event stream, read by `fetch`, because an `EventSource` cannot send the token in a header. */
export const openEventStream = byFetch(async (request, received, signal) => {
  const { token, resume, fetch } = request;
  /** @type {Record<string, string>} */
  const headers = { accept: TYPE };
  if (token !== null) headers.authorization = `Bearer ${token}`;
  const address = endpoint('events/stream', request, { protocol: '1', cursor: resume?.cursor });
  const response = await fetch(address, { headers, signal, cache: 'no-store', redirect: 'error' });
  const { status } = response;
  if (status === 204) return afterClose(SIGNED_OUT, 'the user has signed out');
  if (!response.headers.get('content-type')?.startsWith(TYPE)) {
    const problem = await problemOf(response);
    // A proxy that does not serve this path may serve the others.
    return problem.code === NOT_HERALD ? { code: status, reason: problem.message, unusable: true } : afterProblem(problem);
  }
  const reader = /** @type {ReadableStream} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let [text, data, id, cursor] = ['', '', '', ''];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { reason: 'the connection broke' };
    const lines = (text + decoder.decode(value, { stream: true })).split(/\r?\n/);
    text = lines.pop() ?? '';
    /** @type {ServerObject[]} */
    const objects = [];
    for (const line of lines) {
      if (line.startsWith('data:')) data += line.slice(5);
      else if (line.startsWith('id:')) id = line.slice(3).trim();
      else if (!line && data) {
        objects.push(JSON.parse(data));
        [data, cursor] = ['', id];
      }
    }
    const last = objects.at(-1);
    if (last?.kind === 'bye') {
      received(objects.slice(0, -1));
      return afterClose(last.code, last.reason, last.reconnect_in);
    }
    // The id of an event is the cursor after it.
    if (last) received(last.kind === 'hello' ? objects : [...objects, { kind: 'heartbeat', cursor }]);
  }
});
