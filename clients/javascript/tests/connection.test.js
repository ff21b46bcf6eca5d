// The connection: what it sends, when it reconnects, when it stops, and which transport it takes.
import assert from 'node:assert/strict';
import test from 'node:test';

import { Connection } from '../src/connection/connection.js';
import { Receiver } from '../src/connection/receiver.js';
import { openStorage } from '../src/connection/storage.js';
import { Token } from '../src/connection/token.js';
import { Rest } from '../src/rest/client.js';
import { FakeSocket, FakeStream, hello, notification, problem } from './support/fake_network.js';
import { jwt } from './support/tokens.js';
import { until } from './support/until.js';

const SECOND = 1000;
const soon = () => Date.now() / SECOND + 3600;

/** @type {Connection | undefined} */
let previous;

/**
 * A started connection, which ends with the test or with the next one.
 * @param {test.TestContext} t
 * @param {any} [options]
 */
function connected(t, { token = null, transport = 'websocket', fetch = () => Promise.reject(new TypeError('no network')), ...more } = {}) {
  FakeSocket.all = [];
  FakeSocket.isRefused = false;
  /** @type {any[]} */
  const states = [];
  /** @type {any[]} */
  const received = [];
  /** @type {any[]} */
  const tokenErrors = [];
  const receiver = new Receiver((object, isNew) => received.push({ ...object, isNew }));
  receiver.resumeFrom(more.resume ?? null);
  const base = new URL('https://shop.example/herald/');
  const shared = new Token(token);
  const connection = new Connection({
    request: {
      base, user: 'ada', feeds: null, types: null, WebSocket: FakeSocket, fetch,
      rest: new Rest({ base, token: shared, user: 'ada', fetch }), ...more.request,
    },
    token: shared,
    transport,
    identify: () => true,
    resumePoint: () => receiver.resumePoint,
    storage: more.storage ?? openStorage('memory'),
    received: (objects) => receiver.receive(objects),
    onState: (state) => states.push(state),
    onTokenError: (error) => tokenErrors.push(error),
    timing: { openMs: 40, checkMs: 10, graceMs: 5, pollMs: 10, upgradeMs: 15, rememberMs: 1e6, ...more.timing },
  });
  previous?.pause();
  previous = connection;
  t.after(() => connection.pause());
  void connection.start();
  const sockets = (/** @type {number} */ count) => until(() => FakeSocket.all.length === count, `${count} sockets`);
  return { connection, states, received, tokenErrors, receiver, sockets };
}

/** @param {any[]} received */
const messages = (received) => received.filter(({ kind }) => kind === 'notification').map(({ message, isNew }) => (isNew ? message : `(${message})`));

test('the token stands in the subprotocol, or in the first frame, but not in the address', async (t) => {
  const one = connected(t, { token: 'a.b-c_d' });
  await one.sockets(1);
  FakeSocket.last.open(hello());
  assert.equal(FakeSocket.last.address.href, 'wss://shop.example/herald/ws');
  assert.deepEqual([FakeSocket.last.protocols, FakeSocket.last.sent], [['herald.v1', 'bearer.a.b-c_d'], [{ resume: {} }]]);
  const two = connected(t, { token: 'opaque/token==', request: { feeds: ['a', 'b'], types: ['x'] } });
  await two.sockets(1);
  FakeSocket.last.open(hello());
  assert.equal(FakeSocket.last.address.search, '?feeds=a%2Cb&types=x');
  assert.deepEqual([FakeSocket.last.protocols, FakeSocket.last.sent], [['herald.v1'], [{ auth: 'opaque/token==', resume: {} }]]);
});

test('it resumes from what was received, and passes nothing on twice', async (t) => {
  const { received, receiver, sockets } = connected(t, { resume: { cursor: 'old', positions: { inbox: 3 } } });
  await sockets(1);
  assert.equal(FakeSocket.last.address.search, '?user_id=ada');
  FakeSocket.last.open();
  assert.deepEqual(FakeSocket.last.sent, [{ resume: { cursor: 'old', positions: { inbox: 3 } } }]);
  FakeSocket.last.say(hello({ resumed: true, positions: { inbox: 3 } }), notification(5), notification(4, { changed: 6, read: true }));
  FakeSocket.last.say(notification(2, { changed: 7 }), { kind: 'of a later version', x: 1 });
  FakeSocket.last.drop();
  await sockets(2);
  FakeSocket.last.open();
  assert.deepEqual(FakeSocket.last.sent, [{ resume: { cursor: 'c0', positions: { inbox: 7 } } }]);
  FakeSocket.last.say(hello({ resumed: true, positions: { inbox: 5 }, cursor: 'c5' }), notification(6), notification(8));
  assert.deepEqual(messages(received), ['m5', 'm4', '(m2)', 'm8']);
  assert.deepEqual(receiver.resumePoint, { cursor: 'c5', positions: { inbox: 8 } });
});

test('entries are missing only where others were received before', async (t) => {
  const { received, sockets } = connected(t);
  await sockets(1);
  FakeSocket.last.open(hello({ gap: ['inbox'] }), notification(1));
  FakeSocket.last.drop();
  await sockets(2);
  FakeSocket.last.open(hello({ gap: ['inbox'], epoch: 'other' }), notification(1));
  assert.deepEqual(received.filter(({ kind }) => kind === 'hello').map(({ gap }) => gap), [[], ['inbox']]);
  assert.deepEqual(messages(received), ['m1', 'm1']);
});

test('if the first frame came too late, the cursor goes into the address', async (t) => {
  const { received, sockets } = connected(t, { resume: { cursor: 'old', positions: { inbox: 3 } } });
  await sockets(1);
  FakeSocket.last.open(hello({ positions: { inbox: 9 } }));
  await sockets(2);
  assert.equal(FakeSocket.last.address.searchParams.get('cursor'), 'old');
  FakeSocket.last.open(hello({ resumed: true, positions: { inbox: 2 } }), notification(3), notification(4));
  assert.deepEqual(FakeSocket.last.sent, []);
  assert.deepEqual(messages(received), ['m4']);
});

test('the table of close codes', async (t) => {
  for (const code of [1000, 1001, 1005, 1006, 1011, 1012, 1013, 4000, 4408, 4429]) {
    const { states, sockets } = connected(t);
    await sockets(1);
    FakeSocket.last.open(hello(), { kind: 'bye', code, reason: 'because' });
    await sockets(2);
    assert.deepEqual(states.map(({ state }) => state), ['connecting', 'live', 'waiting', 'connecting'], String(code));
    assert.deepEqual([states[2].code, states[2].reason], [code, 'because']);
  }
  for (const code of [1009, 4401, 4501, 4502, 4503, 4504, 4505, 4506, 4999]) {
    const { connection, sockets } = connected(t, { token: 'fixed' });
    await sockets(1);
    FakeSocket.last.open({ kind: 'bye', code, reason: 'because' });
    assert.deepEqual({ ...connection.state }, { state: 'stopped', reason: 'because', code, signedOut: code === 4502 });
  }
  const { connection, sockets } = connected(t);
  await sockets(1);
  FakeSocket.last.readyState = 1;
  FakeSocket.last.onopen();
  assert.equal(connection.state.reason, 'the server does not speak herald.v1');
});

test('it waits as long as the server asks for, whatever the user does', async (t) => {
  const { connection, sockets } = connected(t);
  await sockets(1);
  const before = Date.now();
  FakeSocket.last.open(hello(), { kind: 'bye', code: 1012, reason: 'restart', reconnect_in: 0.1 });
  assert.ok(Math.abs(/** @type {number} */ (connection.state.retryAt) - before - 100) < 50);
  connection.wake();
  assert.equal(connection.state.state, 'waiting');
  await sockets(2);
  assert.ok(Date.now() - before >= 99);
  for (let failures = 1; failures < 30; failures++) FakeSocket.last.drop();
  FakeSocket.last.open(hello());
  FakeSocket.last.drop();
  assert.equal(connection.state.state, 'waiting');
  connection.wake();
  await sockets(3);
});

test('a connection that says nothing, or nonsense, is ended', async (t) => {
  const { connection, states } = connected(t);
  const sockets = (/** @type {number} */ count) => until(() => (connection.wake(), FakeSocket.all.length === count));
  await sockets(2); // Nothing came for `openMs`.
  for (const frame of ['{"kind": "hel', 'null', '[]', new ArrayBuffer(2), JSON.stringify(notification(1))]) {
    const count = FakeSocket.all.length;
    FakeSocket.last.open();
    FakeSocket.last.frame(frame);
    await sockets(count + 1);
  }
  const count = FakeSocket.all.length;
  FakeSocket.last.open(hello({ heartbeat: 0.02 }), { kind: 'heartbeat', cursor: 'c1' });
  await sockets(count + 1);
  assert.match(states.findLast(({ state }) => state === 'waiting').reason, /nothing received/);
  assert.ok(FakeSocket.all.slice(0, -1).every(({ isClosed }) => isClosed));
});

test('after a sleep, what was received meanwhile is read first', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
  const { connection } = connected(t, { timing: { openMs: 10_000, checkMs: 5_000, graceMs: 2_000 } });
  await new Promise((resolve) => setImmediate(resolve));
  const first = FakeSocket.last.open(hello(), { kind: 'heartbeat', cursor: 'c1' });
  const sleep = () => {
    t.mock.timers.setTime(Date.now() + 3_600_000);
    connection.check();
  };
  sleep();
  first.say({ kind: 'heartbeat', cursor: 'c2' });
  t.mock.timers.tick(2_000);
  assert.equal(connection.state.state, 'live');
  sleep();
  t.mock.timers.tick(2_000);
  assert.equal(connection.state.state, 'waiting');
});

test('a wait that is over ends when another tab asks, also if the timer is late', async (t) => {
  const { connection, sockets } = connected(t);
  await sockets(1);
  const { setTimeout } = globalThis;
  const late = t.mock.method(globalThis, 'setTimeout', () => 0);
  FakeSocket.last.open(hello(), { kind: 'bye', code: 1012, reason: 'restart', reconnect_in: 0 });
  late.mock.restore();
  assert.equal(globalThis.setTimeout, setTimeout);
  connection.check();
  await sockets(2);
});

test('a token is renewed before it expires, and after Herald has refused it', async (t) => {
  const tokens = [jwt('ada', Date.now() / SECOND + 5.5), jwt('ada', soon()), jwt('ada', soon() + 1)];
  const { states, sockets, tokenErrors } = connected(t, { token: () => tokens.shift() ?? Promise.reject(new Error('offline')) });
  await sockets(1);
  const renewed = tokens[0];
  FakeSocket.last.open(hello());
  await until(() => FakeSocket.last.sent.length === 2);
  assert.deepEqual(FakeSocket.last.sent[1], { auth: renewed });
  FakeSocket.last.say({ kind: 'auth', expires_at: soon() });
  const third = tokens[0];
  FakeSocket.last.say({ kind: 'bye', code: 4401, reason: 'expired' });
  await sockets(2);
  assert.equal(FakeSocket.last.protocols[1], `bearer.${third}`);
  FakeSocket.last.open(hello({ resumed: true }), { kind: 'bye', code: 4401, reason: 'expired' });
  await until(() => tokenErrors.length > 1);
  assert.match(states.findLast(({ state }) => state === 'waiting').reason, /offline/);
});

test('it stops if nobody is signed in any more, or another user is', async (t) => {
  for (const next of [null, jwt('bob', soon())]) {
    const tokens = [jwt('ada', soon()), next];
    const { connection, sockets } = connected(t, { token: () => tokens.shift() });
    await sockets(1);
    FakeSocket.last.open(hello(), { kind: 'bye', code: 4401, reason: 'expired' });
    await until(() => connection.state.state === 'stopped');
    assert.equal(connection.state.signedOut, true);
  }
});

test('where WebSockets are refused it takes an event stream, remembers it, and tries again', async (t) => {
  const storage = openStorage('memory');
  /** @type {{stream: FakeStream, address: URL, init: any}[]} */
  const streams = [];
  const fetch = async (/** @type {URL} */ address, /** @type {any} */ init) => {
    const stream = new FakeStream(init.signal);
    streams.push({ stream, address, init });
    return stream.response;
  };
  const first = connected(t, { transport: 'auto', fetch, storage, token: 'secret', timing: { rememberMs: 100 } });
  FakeSocket.isRefused = true;
  await until(() => streams.length === 1);
  const [{ stream, address, init }] = /** @type {any} */ (streams);
  assert.equal(address.href, 'https://shop.example/herald/events/stream?protocol=1');
  assert.equal(init.headers.authorization, 'Bearer secret');
  stream.write('retry: 1000\n\n');
  stream.say('c1', hello({ cursor: 'c1' }), notification(1));
  const frame = `id: c2\r\ndata: ${JSON.stringify(notification(2))}\r\n\r\n`;
  stream.write(frame.slice(0, 20));
  stream.write(frame.slice(20));
  await until(() => first.received.length >= 3);
  assert.deepEqual([first.connection.state.transport, messages(first.received)], ['stream', ['m1', 'm2']]);
  assert.deepEqual(first.receiver.resumePoint, { cursor: 'c2', positions: {} });
  // The WebSocket is tried again meanwhile, and this stream stays open.
  await until(async () => (await storage.get('transport https://shop.example/herald/'))?.name === 'stream');
  assert.equal(stream.isClosed, false);
  FakeSocket.isRefused = false;
  const tried = FakeSocket.all.length;
  await until(() => FakeSocket.all.length > tried);
  FakeSocket.last.open(hello({ resumed: true, positions: { inbox: 2 }, cursor: 'c2' }), notification(3));
  assert.deepEqual([first.connection.state.transport, messages(first.received), stream.isClosed], ['websocket', ['m1', 'm2', 'm3'], true]);

  await storage.set('transport https://shop.example/herald/', { name: 'stream', until: Date.now() + 60_000 });
  const second = connected(t, { transport: 'auto', fetch, storage });
  await until(() => streams.length === 2);
  streams[1]?.stream.say('c3', hello());
  await until(() => second.connection.state.state === 'live');
  assert.equal(FakeSocket.all.length, 0, 'it is not tried for a while');
});

test('where nothing streams it asks for changes, and feeds pause', async (t) => {
  /** @type {any[]} */
  const asked = [];
  const row = (/** @type {number} */ seq, /** @type {object} */ more) => ({
    id: `n${seq}`, seq, changed: seq, event_id: 'e', notification_type: 'x', is_read: false, is_archived: false, is_muted: false, message: `m${seq}`, ...more,
  });
  const pages = [
    { data: [row(4, {}), row(3, { changed: 5, is_archived: true }), row(6, { is_muted: true })], meta: { cursor: 'c6', more: true, gap: false, unread_count: 2 } },
    { data: [row(2, { changed: 7 }), row(8, { notification_type: 'y' })], meta: { cursor: 'c9', more: false, gap: false, unread_count: 1, unseen_count: 0, seen: { seq: 8, changed: 9 } } },
    { data: [], meta: { cursor: 'c20', more: false, gap: true, unread_count: 0 } },
  ];
  const fetch = async (/** @type {URL} */ address, /** @type {any} */ { signal }) => {
    // A proxy that buffers: the response never comes.
    if (address.pathname.endsWith('/stream')) return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    asked.push(address);
    const page = pages.shift();
    return page ? Response.json(page) : problem(503, { code: 'unavailable' }, { 'retry-after': '60' });
  };
  const resume = { cursor: 'c2', positions: { inbox: 3, market: 7 } };
  const { connection, received, receiver, states } = connected(t, { transport: 'auto', fetch, resume, request: { types: ['x'] } });
  FakeSocket.isRefused = true;
  await until(() => connection.state.code === 503);
  assert.ok(/** @type {number} */ (connection.state.retryAt) > Date.now() + 59_000);
  const live = states.find(({ state }) => state === 'live');
  assert.deepEqual([live.transport, live.feedsPaused], ['polling', true]);
  assert.deepEqual(asked.slice(0, 3).map((address) => address.searchParams.get('since')), ['c2', 'c6', 'c9']);
  const objects = received.filter(({ kind }) => kind !== 'heartbeat').map(({ kind, seq, isNew, unread, unseen }) => [kind, seq, isNew, unread, unseen]);
  assert.deepEqual(objects, [
    ['hello', undefined, false, 2, undefined], ['notification', 4, true, 2, undefined], ['archived', 3, false, 2, undefined],
    ['notification', 2, false, 1, 0], ['seen', 8, false, 1, 0], ['hello', undefined, false, 0, undefined],
  ]);
  assert.deepEqual(receiver.resumePoint, { cursor: 'c20', positions: {} });
});

test('a refusal of Herald stops the client, with what Herald says', async (t) => {
  const cases = /** @type {[Response, object][]} */ ([
    [problem(403, { code: 'origin_refused', title: 'Pages of this origin may not do this.' }), { state: 'stopped', code: 403 }],
    [new Response(null, { status: 204 }), { state: 'stopped', code: 4502, signedOut: true }],
    [problem(401, { code: 'token_invalid' }), { state: 'stopped', code: 401 }],
    [problem(429, { code: 'too_many_requests' }, { 'retry-after': '60' }), { state: 'waiting', code: 429 }],
  ]);
  for (const [response, expected] of cases) {
    const { connection } = connected(t, { transport: 'stream', fetch: async () => response });
    await until(() => ['stopped', 'waiting'].includes(connection.state.state));
    for (const [name, value] of Object.entries(expected)) assert.equal(/** @type {any} */ (connection.state)[name], value);
  }
});
