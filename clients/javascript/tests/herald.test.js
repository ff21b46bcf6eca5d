// The whole client in Node, with a real Herald.
import assert from 'node:assert/strict';
import test from 'node:test';

import { createHerald } from '../src/index.js';
import { skip, startHerald, startProxy } from './support/real_herald.js';
import { until } from './support/until.js';

const BATCHES = 30;
const SIZE = 10;
const expected = Array.from({ length: BATCHES * SIZE }, (_, number) => `m${number}`);

/** How each client connects, and the transport that it ends up with. @type {{transport: 'websocket' | 'stream' | 'polling' | 'auto', faults?: object, expected: string}[]} */
const WAYS = [
  { transport: 'websocket', expected: 'websocket' },
  { transport: 'stream', expected: 'stream' },
  { transport: 'polling', expected: 'polling' },
  { transport: 'auto', faults: { refusesUpgrades: true }, expected: 'stream' },
  { transport: 'auto', faults: { refusesUpgrades: true, buffers: true }, expected: 'polling' },
];

test('each notification is received once and in order, whatever is cut, over each transport', { skip }, async (t) => {
  const { port, publish } = await startHerald(t);
  const clients = await Promise.all(
    WAYS.map(async ({ transport, faults, expected }) => {
      const proxy = await startProxy(t, port, faults);
      const timing = { pollMs: 30, checkMs: 1000, openMs: 1000 };
      const herald = createHerald({ url: proxy.url, user: 'ada', feeds: ['market'], transport, storage: 'memory', timing });
      t.after(() => herald.close());
      const got = { /** @type {string[]} */ notifications: [], /** @type {string[]} */ broadcasts: [], /** @type {any[]} */ gaps: [] };
      herald.on('notification', ({ message }) => got.notifications.push(message));
      herald.on('broadcast:market', ({ data }) => got.broadcasts.push(data.note));
      herald.on('gap', (gap) => got.gaps.push(gap));
      await herald.inbox.load();
      await until(() => herald.state.state === 'live');
      return { transport: expected, name: `${transport} ${expected}`, proxy, herald, got };
    }),
  );
  for (let batch = 0; batch < BATCHES; batch++) {
    const part = expected.slice(batch * SIZE, (batch + 1) * SIZE);
    const published = publish('risk-events', part.map((message) => ({ user_id: 'ada', message })));
    for (const { proxy } of clients) if (Math.random() < 0.4) proxy.cut();
    await published;
    await publish('regime-events', [{ note: `b${batch}` }]);
  }
  for (const { transport, name, herald, got } of clients) {
    await until(() => (herald.connect(), got.notifications.length >= expected.length), name);
    assert.deepEqual(got.notifications, expected, name);
    assert.deepEqual(got.gaps, [], name);
    await until(() => herald.state.transport === transport, name);
    const broadcasts = transport === 'polling' ? [] : Array.from({ length: BATCHES }, (_, number) => `b${number}`);
    await until(() => got.broadcasts.length >= broadcasts.length);
    assert.deepEqual(got.broadcasts, broadcasts, name);
    assert.equal(herald.inbox.getSnapshot().unread, expected.length);
    while (herald.inbox.getSnapshot().hasMore) await herald.inbox.loadMore();
    assert.deepEqual(herald.inbox.getSnapshot().items.map(({ message }) => message).toReversed(), expected, name);
  }
  const [first, ...others] = clients.map(({ herald }) => herald);
  await first?.inbox.markAllRead();
  for (const herald of others) await until(() => herald.inbox.getSnapshot().unread === 0);
  await first?.preferences.mute('risk_alert');
  assert.deepEqual((await first?.preferences.get())?.muted_types, ['risk_alert']);
});
