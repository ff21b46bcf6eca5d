// The tabs that share a connection, with the locks and channels of Node in place of those of a browser.
import assert from 'node:assert/strict';
import test from 'node:test';

import { TabGroup } from '../src/tabs/tab_group.js';
import { until } from './support/until.js';

let names = 0;

/**
 * Tabs of one group, which ends with the test.
 * @param {test.TestContext} t
 */
function group(t) {
  const name = `group ${++names}`;
  const open = () => {
    const tab = /** @type {any} */ ({ log: [], objects: [], state: null });
    const handlers = {
      lead: () => tab.log.push('lead'),
      follow: () => tab.log.push('follow'),
      received: (/** @type {any[]} */ objects) => tab.objects.push(...objects),
      ask: () => (tab.asked = true),
      wake: () => tab.log.push('woken'),
      onState: (/** @type {any} */ state) => (tab.state = state),
      signedOut: () => tab.log.push('signed out'),
      present: () => ({ state: { state: 'live' }, summary: { kind: 'hello' } }),
    };
    tab.group = new TabGroup(name, /** @type {any} */ (handlers), { askMs: 60, answerMs: 30 });
    t.after(() => tab.group.leave());
    return tab;
  };
  return { name, open };
}

test('the first tab leads, and the others receive what it receives', async (t) => {
  const { open } = group(t);
  const [first, second, third] = [open(), open(), open()];
  await until(() => first.group.isLeader && second.state && third.state);
  first.group.send({ type: 'objects', objects: [{ kind: 'notification', seq: 1 }] });
  first.group.send({ type: 'state', state: { state: 'waiting' } });
  await until(() => third.state.state === 'waiting' && second.state.state === 'waiting');
  for (const tab of [second, third]) assert.deepEqual(tab.objects.map((/** @type {any} */ { kind }) => kind), ['hello', 'notification']);
  assert.deepEqual([first.objects, first.log, second.log], [[], ['lead'], []]);
});

test('a leader that leaves is replaced by one other tab at once', async (t) => {
  const { open } = group(t);
  const [first, second, third] = [open(), open(), open()];
  await until(() => second.state && third.state);
  first.group.leave();
  await until(() => second.group.isLeader, 'the second leads', 1000);
  second.group.send({ type: 'objects', objects: [{ kind: 'notification', seq: 2 }] });
  await until(() => third.objects.length === 2);
  assert.deepEqual([first.log, second.log, third.log], [['lead'], ['lead'], []]);
});

test('a leader that does not answer is replaced', async (t) => {
  const { name, open } = group(t);
  // A frozen tab keeps the lock, and answers nothing.
  const frozen = navigator.locks.request(name, () => new Promise(() => {}));
  const second = open();
  await assert.rejects(frozen, { name: 'AbortError' });
  assert.ok(second.group.isLeader);
});

test('a leader that was replaced gives way, and leads again later', async (t) => {
  const { name, open } = group(t);
  const first = open();
  await until(() => first.group.isLeader);
  let release = () => {};
  void navigator.locks.request(name, { steal: true }, () => new Promise((resolve) => (release = () => resolve(null))));
  await until(() => first.log.length === 2);
  release();
  await until(() => first.group.isLeader);
  assert.deepEqual(first.log, ['lead', 'follow', 'lead']);
});

test('a page that may not use locks leads for itself', async (t) => {
  t.mock.method(navigator.locks, 'request', () => Promise.reject(new DOMException('no origin', 'SecurityError')));
  const { open } = group(t);
  const tab = open();
  await until(() => tab.group.isLeader);
});

test('a sign-out reaches all tabs, and a wish to connect the leader', async (t) => {
  const { open } = group(t);
  const tabs = [open(), open(), open()];
  await until(() => tabs[0].group.isLeader && tabs[2].state);
  tabs[1].group.send({ type: 'wake' });
  await until(() => tabs[0].log.includes('woken') && tabs[0].asked);
  tabs[2].group.send({ type: 'sign-out' });
  await until(() => tabs[0].log.includes('signed out') && tabs[1].log.includes('signed out'));
});
