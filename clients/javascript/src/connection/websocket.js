import { endpoint } from './transport.js';
import { afterClose, BROKEN } from './close_codes.js';

const PROTOCOL = 'herald.v1';

/** The characters of a subprotocol (RFC 9110, "token"). A token with others goes into the first frame. */
const IN_SUBPROTOCOL = /^[\w!#$%&'*+.^`|~-]+$/;

/** A WebSocket with the subprotocol `herald.v1`. @type {import('./transport.js').Transport} */
export function openWebSocket(request, { received, ended }) {
  const { token, resume, isCursorInAddress, WebSocket } = request;
  const address = endpoint('ws', request, { cursor: isCursorInAddress ? resume?.cursor : undefined });
  address.protocol = address.protocol.replace('http', 'ws');
  const isOffered = token !== null && IN_SUBPROTOCOL.test(token);
  /** @type {WebSocket} */
  const socket = new WebSocket(address.href, isOffered ? [PROTOCOL, `bearer.${token}`] : [PROTOCOL]);
  let isOpen = false;
  const close = () => {
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
    socket.close();
  };
  const end = (/** @type {import('./close_codes.js').End} */ reason) => {
    close();
    ended(reason);
  };

  socket.onopen = () => {
    isOpen = true;
    if (socket.protocol !== PROTOCOL) return end({ reason: 'the server does not speak herald.v1', reaction: 'stop' });
    const first = { ...(token !== null && !isOffered && { auth: token }), ...(!isCursorInAddress && { resume: resume ?? {} }) };
    if (Object.keys(first).length) socket.send(JSON.stringify(first));
  };
  socket.onmessage = ({ data }) => {
    let objects;
    try {
      objects = data.split('\n').map((/** @type {string} */ line) => JSON.parse(line));
    } catch {
      objects = [null];
    }
    if (objects.some((/** @type {any} */ object) => typeof object?.kind !== 'string')) {
      return end({ reason: 'a frame is not herald.v1' });
    }
    const bye = objects.at(-1).kind === 'bye' ? objects.pop() : null;
    if (objects.length) received(objects);
    if (bye) end(afterClose(bye.code, bye.reason, bye.reconnect_in));
  };
  socket.onclose = ({ code, reason }) => {
    // A browser does not say why a handshake failed. The next transport finds it out.
    end({ ...afterClose(code || BROKEN, reason), unusable: !isOpen });
  };
  return { close, send: (command) => socket.readyState === 1 && socket.send(JSON.stringify(command)) };
}
