// The inbox store: whatever comes in whichever order, the list is the one of the server.
import assert from 'node:assert/strict';
import test from 'node:test';

import { ItemList } from '../src/inbox/item_list.js';
import { Inbox } from '../src/inbox/store.js';
import { HeraldProblem } from '../src/rest/problem.js';
import { InboxServer, random, settle } from './support/inbox_server.js';

const UNREACHABLE = new HeraldProblem({ status: 0, code: 'unreachable' });

/** @param {number} count @param {any} [options] */
async function opened(count, options = {}) {
  const server = new InboxServer();
  for (let number = 1; number <= count; number++) server.arrive(`n${number}`);
  server.outbox = [];
  const inbox = new Inbox({ ...server.options, pageSize: 10, ...options });
  await inbox.load();
  return { server, inbox };
}

/** @param {Inbox} inbox */
const shown = (inbox) => inbox.getSnapshot().items.map(({ id, seq, read, title }) => ({ id, seq, read, title }));

/** @param {InboxServer} server @param {any} [query] */
const truth = (server, query) => server.list(query).map(({ id, seq, is_read, title }) => ({ id, seq, read: is_read, title }));

for (const filter of [{}, { read: false }, { read: true }, { type: 'a' }]) {
  test(`random interleavings of pages, objects and actions end in the list of the server: ${JSON.stringify(filter)}`, async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const next = random(seed);
      const below = (/** @type {number} */ bound) => Math.floor(next() * bound);
      const server = new InboxServer();
      for (let number = 0; number < 30; number++) server.arrive(`n${number}`, next() < 0.5 ? 'a' : 'b');
      server.outbox = [];
      server.isHeld = true;
      const inbox = new Inbox({ ...server.options, filter, pageSize: 3 });
      void inbox.load();
      const id = () => `n${below(36)}`;
      const steps = [
        () => server.arrive(id(), next() < 0.5 ? 'a' : 'b'),
        () => server.change(id(), 'read'),
        () => server.change(id(), 'unread'),
        () => server.change(id(), 'archived'),
        () => void inbox.loadMore(),
        () => void inbox.markRead(id()),
        () => void inbox.archive(id()),
        () => void inbox.markAllRead(below(server.position)),
        () => server.send({ kind: 'gap', stream: 'inbox', after: 1, upto: 2 }),
        ...Array(4).fill(() => server.stream()),
        ...Array(4).fill(() => server.held.splice(below(server.held.length), 1)[0]?.()),
      ];
      for (let step = 0; step < 80; step++) {
        steps[below(steps.length)]();
        if (next() < 0.5) await settle();
      }
      server.isHeld = false;
      do {
        for (const release of server.held.splice(0)) release();
        while (server.outbox.length) server.stream();
        await settle();
        if (inbox.getSnapshot().hasMore) await inbox.loadMore();
      } while (server.held.length || server.outbox.length || inbox.getSnapshot().hasMore || inbox.getSnapshot().isLoading);
      const query = { type: /** @type {any} */ (filter).type, is_read: /** @type {any} */ (filter).read };
      assert.deepEqual(shown(inbox), truth(server, query), `seed ${seed}`);
      assert.equal(inbox.getSnapshot().unread, server.unread, `seed ${seed}`);
      assert.equal(inbox.getSnapshot().pending, 0);
    }
  });
}

test('a snapshot is the same object while nothing changes, and keeps what it was', async () => {
  const { server, inbox } = await opened(15);
  let calls = 0;
  inbox.subscribe(() => (calls += 1));
  await settle();
  calls = 0;
  const before = inbox.getSnapshot();
  assert.equal(inbox.getSnapshot(), before);
  server.send({ kind: 'broadcast', stream: 'market', seq: 1 });
  await settle();
  assert.deepEqual([inbox.getSnapshot() === before, calls], [true, 0]);
  server.change('n15', 'read');
  server.arrive('n3');
  server.stream();
  server.stream();
  await settle();
  const after = inbox.getSnapshot();
  assert.equal(calls, 1);
  assert.deepEqual([before.items.at(0)?.id, before.items.at(0)?.read], ['n15', false]);
  assert.deepEqual(after.items.slice(0, 2).map(({ id, read }) => [id, read]), [['n3', false], ['n15', true]]);
  assert.deepEqual([before.items.length, after.items.length], [10, 11]);
  assert.equal(before.items.at(1), after.items.at(2), 'what has not changed is shared');
});

test('an action is shown at once, and taken back if the server refuses it', async () => {
  const { server, inbox } = await opened(3);
  /** @type {any[]} */
  const refusals = [];
  inbox.on('refused', (refusal) => refusals.push(refusal));
  server.isHeld = true;
  const before = inbox.getSnapshot().unread;
  server.problem = new HeraldProblem({ status: 403, code: 'access_refused' });
  const results = [inbox.archive('n2'), inbox.markAllRead()];
  assert.deepEqual(shown(inbox).map(({ id, read }) => [id, read]), [['n3', true], ['n1', true]]);
  assert.deepEqual([inbox.getSnapshot().unread, inbox.getSnapshot().pending], [before, 2]);
  while (inbox.getSnapshot().pending) {
    server.held.shift()?.();
    await settle();
  }
  assert.deepEqual(await Promise.all(results), [false, false]);
  assert.deepEqual(shown(inbox), truth(server));
  assert.deepEqual(refusals.map(({ action, problem }) => [action.kind, problem.code]), [['archive', 'access_refused'], ['readAll', 'access_refused']]);
});

test('actions made while offline are sent in order afterwards, and are shown without a stream', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { server, inbox } = await opened(5);
  server.problem = UNREACHABLE;
  const results = [inbox.markRead('n1'), inbox.markUnread('n1'), inbox.archive('n2'), inbox.markSeen(), inbox.markAllRead(4)];
  await settle();
  assert.equal(inbox.getSnapshot().pending, 5);
  server.problem = null;
  server.requests = [];
  server.become('offline');
  assert.equal(server.requests.length, 0);
  server.become('live');
  assert.deepEqual(await Promise.all(results), [true, true, true, true, true]);
  assert.deepEqual(
    server.requests.map(({ method, path, options }) => [method, path.split('/').slice(3).join('/'), options.body?.up_to]),
    [['PUT', 'n1/read', undefined], ['PUT', 'n1/unread', undefined], ['DELETE', 'n2', undefined], ['PUT', 'seen', 5], ['PUT', 'mark-all-read', 4]],
  );
  assert.deepEqual(shown(inbox), truth(server));
  assert.equal(inbox.getSnapshot().unread, 1);
});

test('totals are those of the largest position, and of hello', async () => {
  const { server, inbox } = await opened(2);
  const totals = () => [inbox.getSnapshot().unread, inbox.getSnapshot().unseen];
  assert.deepEqual(totals(), [2, null], 'this server has not sent the unseen total');
  server.send({ kind: 'seen', stream: 'inbox', seq: 2, changed: 9, unread: 2, unseen: 0 });
  server.send({ kind: 'read', stream: 'inbox', seq: 1, changed: 8, id: 'n1', unread: 1, unseen: 1 });
  assert.deepEqual(totals(), [2, 0]);
  server.send({ kind: 'hello', positions: { inbox: 5 }, epoch: 'one', resumed: true, gap: [], unread: 7, unseen: 3 });
  assert.deepEqual(totals(), [7, 3]);
});

test('a gap, and a hello that does not resume, load the list again, as far as it was loaded', async () => {
  const { server, inbox } = await opened(25);
  await inbox.loadMore();
  for (const lost of [() => server.hello({ gap: ['inbox'] }), () => server.hello(), () => server.send({ kind: 'gap', stream: 'inbox', after: 1, upto: 2 })]) {
    server.arrive(`lost at ${server.position}`);
    server.outbox = [];
    lost();
    assert.equal(inbox.getSnapshot().items.length, 20, 'what is shown stays until then');
    await settle();
    assert.deepEqual(shown(inbox), truth(server).slice(0, 20));
  }
  server.requests = [];
  server.hello({ resumed: true });
  assert.equal(server.requests.length, 0);
});

test('a list that cannot be loaded says why, and is loaded later', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const server = new InboxServer();
  server.arrive('n1');
  server.problem = UNREACHABLE;
  const inbox = new Inbox(server.options);
  await inbox.load();
  assert.deepEqual([inbox.getSnapshot().problem, inbox.getSnapshot().isLoading], [UNREACHABLE, false]);
  server.problem = null;
  t.mock.timers.tick(5000);
  await settle();
  assert.deepEqual([inbox.getSnapshot().problem, inbox.getSnapshot().items.length], [null, 1]);
  inbox.close();
  assert.deepEqual([server.objects.size, server.states.size], [0, 0]);
});

test('loading ends when the list is there, also if hello has made the client load it again', async () => {
  const server = new InboxServer();
  server.arrive('n1');
  server.isHeld = true;
  const inbox = new Inbox(server.options);
  let isLoaded = false;
  const loads = [inbox.load(), inbox.load()].map((load) => load.then(() => (isLoaded = true)));
  server.hello();
  server.held.shift()?.();
  await settle();
  assert.equal(isLoaded, false);
  server.held.shift()?.();
  await Promise.all(loads);
  assert.equal(inbox.getSnapshot().items.length, 1);
  const reload = (server.hello(), inbox.load());
  inbox.close();
  server.held.shift()?.();
  await reload;
});

test('the filter can be changed', async () => {
  const { server, inbox } = await opened(4);
  server.change('n2', 'read');
  server.stream();
  await inbox.setFilter({ read: true });
  assert.deepEqual(shown(inbox), truth(server, { is_read: true }));
  await inbox.setFilter({});
  assert.deepEqual(shown(inbox), truth(server));
});

test('a list of items equals an array, whatever is put in and taken out', () => {
  const next = random(7);
  let list = ItemList.empty;
  const plain = new Map();
  for (let step = 0; step < 3000; step++) {
    const seq = Math.floor(next() * 700);
    const item = /** @type {any} */ ({ seq, step });
    const isPut = next() < 0.6;
    list = isPut ? list.with(item) : list.without(seq);
    if (isPut) plain.set(seq, item);
    else plain.delete(seq);
    if (step % 50) continue;
    const sorted = [...plain.values()].sort((one, other) => other.seq - one.seq);
    assert.deepEqual([...list], sorted);
    assert.deepEqual(list.slice(10, 150), sorted.slice(10, 150));
    assert.deepEqual([list.length, list.at(99), list.at(-1), list.at(9999)], [sorted.length, sorted[99], sorted.at(-1), undefined]);
  }
});
