// The rules without I/O: positions, close codes, waits, tokens, storage, events.
import assert from 'node:assert/strict';
import test from 'node:test';

import { backoff, waitAfter } from '../src/connection/backoff.js';
import { afterClose, afterProblem } from '../src/connection/close_codes.js';
import { Positions } from '../src/connection/positions.js';
import { openStorage } from '../src/connection/storage.js';
import { NoToken, Token, userOf } from '../src/connection/token.js';
import { Arrivals } from '../src/connection/arrivals.js';
import { Emitter } from '../src/events.js';
import { jwt } from './support/tokens.js';

const hello = (/** @type {object} */ more) => ({ kind: 'hello', cursor: 'c', positions: {}, gap: [], resumed: true, ...more });
const entry = (/** @type {number} */ seq, /** @type {object} */ more = {}) =>
  ({ kind: 'notification', stream: 'inbox', seq, id: `n${seq}`, ...more });

test('each entry is accepted once, and several entries may share a position', () => {
  const positions = new Positions({ cursor: 'old', positions: { inbox: 5 } });
  assert.ok(positions.accept(hello({ positions: { inbox: 4, market: 9 } })));
  assert.ok(!positions.accept(entry(5)));
  assert.ok(positions.accept(entry(6)));
  assert.ok(!positions.accept(entry(6)));
  assert.ok(positions.accept(entry(2, { changed: 8, kind: 'read' })));
  assert.ok(positions.accept(entry(3, { changed: 8, kind: 'read' })));
  assert.ok(!positions.accept(entry(3, { changed: 8, kind: 'read' })));
  assert.ok(positions.accept({ kind: 'seen', stream: 'inbox', seq: 2, changed: 9 }));
  assert.ok(positions.accept({ kind: 'gap', stream: 'market', after: 9, upto: 20 }));
  assert.ok(!positions.accept({ kind: 'broadcast', stream: 'market', seq: 20, id: 'b' }));
  assert.ok(positions.accept({ kind: 'new in a later version' }));
  assert.deepEqual(positions.resumePoint, { cursor: 'c', positions: { inbox: 9, market: 20 } });
  assert.ok(positions.accept({ kind: 'heartbeat', cursor: 'later' }));
  assert.deepEqual(positions.resumePoint, { cursor: 'later', positions: {} });
  assert.ok(!positions.accept(entry(8)));
});

test('a gap takes the position of hello, and another epoch removes the streams that it does not have', () => {
  const positions = new Positions({ cursor: 'old', positions: { inbox: 50, market: 7, gone: 3 } });
  positions.accept(hello({ positions: { inbox: 2, market: 4 }, gap: ['inbox'], resumed: false }));
  assert.deepEqual(positions.all, { inbox: 2, market: 7 });
});

test('the table of close codes and statuses', () => {
  const closed = (/** @type {number[]} */ ...codes) => codes.map((code) => afterClose(code).reaction);
  assert.deepEqual(new Set(closed(1000, 1001, 1005, 1006, 1011, 1012, 1013, 4000, 4408, 4429, 4499)), new Set(['reconnect']));
  assert.deepEqual(closed(4401), ['new-token']);
  assert.deepEqual(new Set(closed(1009, 4500, 4501, 4502, 4503, 4504, 4505, 4506, 4999)), new Set(['stop']));
  const refused = (/** @type {number[]} */ ...statuses) => statuses.map((status) => afterProblem({ status, message: '' }).reaction);
  assert.deepEqual(new Set(refused(408, 425, 429, 500, 503)), new Set(['reconnect']));
  assert.deepEqual(refused(401), ['new-token']);
  assert.deepEqual(new Set(refused(200, 302, 400, 403, 404)), new Set(['stop']));
  assert.deepEqual(afterProblem(new TypeError('fetch failed')), { reason: 'fetch failed', unusable: true });
});

test('waits have full jitter, keep the time of bye, and add to Retry-After', () => {
  assert.deepEqual([1, 2, 3, 40].map((failures) => backoff(failures, () => 1)), [200, 400, 800, 15_000]);
  assert.equal(backoff(9, () => 0), 0);
  assert.equal(waitAfter(afterClose(1012, '', 1.5), 4, () => 1), 1500);
  assert.equal(waitAfter(afterProblem({ status: 429, message: '', retryAfter: 2 }), 1, () => 0.5), 2100);
});

test('a token is renewed when it is about to expire, once for all who ask', async () => {
  let calls = 0;
  const now = 1_800_000_000_000;
  const token = new Token(async () => jwt('ada', now / 1000 + (++calls === 1 ? 4 : 600)), () => now);
  const [first, second] = await Promise.all([token.current(), token.current()]);
  assert.equal(first, second);
  assert.equal(calls, 1);
  await token.current();
  await token.current();
  assert.equal(calls, 2);
  assert.equal(userOf(token.text), userOf(jwt('ada', 1)));
  assert.notEqual(userOf(token.text), userOf(jwt('bob', 1)));
  assert.equal(userOf('opaque'), null);
  await assert.rejects(new Token(() => null).current(), NoToken);
  const users = ['ada', 'bob'];
  const other = new Token(() => jwt(String(users.shift()), 1));
  await other.current();
  await assert.rejects(other.renew(), NoToken);
  assert.equal(await new Token(undefined).current(), null);
});

test('a token function that throws is called again', async () => {
  let calls = 0;
  const token = new Token(() => {
    calls += 1;
    if (calls === 1) throw new Error('not yet');
    return 'secret';
  });
  await assert.rejects(token.current(), { message: 'not yet' });
  assert.equal(await token.current(), 'secret');
});

test('what is stored of one user is cleared alone', async () => {
  const storage = openStorage('memory');
  await storage.set('a:1', 1);
  await storage.set('b:1', 2);
  await storage.clear('a:');
  assert.deepEqual([await storage.get('a:1'), await storage.get('b:1')], [undefined, 2]);
});

test('listeners are called until they unsubscribe', () => {
  const emitter = new Emitter();
  /** @type {string[]} */
  const heard = [];
  const stop = emitter.on('said', (word) => heard.push(word));
  emitter.emit('said', 'one');
  stop();
  emitter.emit('said', 'two');
  assert.deepEqual(heard, ['one']);
  const again = () => {
    stopAgain();
    heard.push('again');
    stopAgain = emitter.on('said', again);
  };
  let stopAgain = emitter.on('said', again);
  emitter.emit('said', 'three');
  assert.deepEqual(heard, ['one', 'again'], 'one that subscribes again is not called again');
});

test('a notification is new if it arrived after the start, for the first time or again', () => {
  const arrivals = new Arrivals();
  arrivals.startAt(10);
  const isNew = (/** @type {string} */ id, /** @type {number} */ seq) => arrivals.isNew({ id, seq });
  assert.deepEqual([isNew('known', 10), isNew('b', 12), isNew('a', 11), isNew('b', 12)], [false, true, true, false]);
  assert.deepEqual([isNew('a', 20), isNew('a', 20)], [true, false], 'it arrived again');
  for (let seq = 21; seq <= 1100; seq++) assert.ok(isNew(`n${seq}`, seq));
  assert.ok(!isNew('n21', 21), 'what is forgotten does not become new');
});
