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
  for (let text = ''; ; ) {
    const { done, value } = await reader.read();
    if (done || signal.aborted) return { reason: 'the connection broke' };
    const blocks = (text + decoder.decode(value, { stream: true })).replaceAll('\r\n', '\n').split('\n\n');
    text = blocks.pop() ?? '';
    const objects = objectsOf(blocks);
    const bye = objects.at(-1)?.kind === 'bye' ? objects.pop() : null;
    if (objects.length) received(objects);
    if (bye) return afterClose(bye.code, bye.reason, bye.reconnect_in);
  }
});

/**
 * The objects of some events. The id of an event is the cursor after it: a heartbeat with the last one is appended.
 * @param {string[]} blocks
 * @returns {ServerObject[]}
 */
function objectsOf(blocks) {
  /** @type {ServerObject[]} */
  const objects = [];
  let cursor;
  for (const block of blocks) {
    const data = [];
    for (const line of block.split('\n')) {
      if (line.startsWith('data:')) data.push(line.slice(5));
      else if (line.startsWith('id:')) cursor = line.slice(3).trim();
    }
    if (data.length) objects.push(JSON.parse(data.join('\n')));
  }
  const kind = objects.at(-1)?.kind;
  if (cursor && kind && kind !== 'hello' && kind !== 'bye') objects.push({ kind: 'heartbeat', cursor });
  return objects;
}
