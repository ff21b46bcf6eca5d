/**
 * Measure the inbox store, and print one JSON object: microseconds for one change (`few_us` and `many_us`, with 100 and
 * 10,000 notifications in the list), and bytes of heap of 10,000 notifications in the store and in a plain array
 * (`store_bytes` and `array_bytes`). Run it with `node --expose-gc benchmarks/store.js`.
 */
import { Inbox } from '../src/inbox/store.js';

const FEW = 100;
const MANY = 10_000;
const CHANGES = 20_000;
const ROUNDS = 9;

/** @param {number} number */
const row = (number) => ({
  id: crypto.randomUUID(), seq: number, changed: number, event_id: `event-${number}`, user_id: 'ada', title: `Title ${number}`,
  message: `A message that is somewhat longer than its title, ${number}`, url: `/items/${number}`, notification_type: 'risk_alert',
  event_type: 'risk', source: 'risk-events', data: { severity: 'high', position: number }, time: '2026-03-01T12:00:00Z',
  created_at: '2026-03-01T12:00:00Z', is_read: false, is_archived: false, is_muted: false, read_at: null,
});

const rows = (/** @type {number} */ count) => Array.from({ length: count }, (_, index) => row(count - index));

/** A store with this list, and the function that passes it an object of the stream. @param {any[]} list */
async function storeOf(list) {
  /** @type {(object: any) => void} */
  let send = () => {};
  const meta = { next_cursor: null, unread_count: list.length, unseen_count: list.length };
  const inbox = new Inbox({
    rest: /** @type {any} */ ({ request: async () => ({ data: list, meta }) }),
    subscribeObjects: (/** @type {any} */ listener) => ((send = listener), () => {}),
    subscribeState: () => () => {},
  });
  await inbox.load();
  if (inbox.getSnapshot().items.length !== list.length) throw new Error('the list was not loaded');
  return { inbox, send: (/** @type {any} */ object) => send(object) };
}

/** @param {number} count @returns {Promise<number>} microseconds for a change with its snapshot, in the fastest round */
async function microseconds(count) {
  const list = rows(count);
  const { inbox, send } = await storeOf(list);
  let position = count;
  let fastest = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const began = performance.now();
    for (let change = 0; change < CHANGES; change++) {
      const { id, seq } = list[(change * 7919) % count];
      send({ kind: (round + change) % 2 ? 'read' : 'unread', stream: 'inbox', id, seq, changed: ++position, unread: 1, unseen: 0 });
      inbox.getSnapshot();
    }
    fastest = Math.min(fastest, ((performance.now() - began) / CHANGES) * 1000);
  }
  return fastest;
}

async function heap() {
  for (let round = 0; round < 4; round++) {
    /** @type {any} */ (globalThis).gc();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return process.memoryUsage().heapUsed;
}

/** @param {(text: string) => unknown} keep @returns {Promise<number>} the heap of what `keep` returns, in bytes */
async function bytes(keep) {
  const text = JSON.stringify(rows(MANY));
  const before = await heap();
  const kept = [await keep(text)];
  const after = await heap();
  if (!kept.pop()) throw new Error('nothing was kept');
  return after - before;
}

await microseconds(FEW); // so that the functions are compiled
const few_us = await microseconds(FEW);
const many_us = await microseconds(MANY);
const array_bytes = await bytes((text) => JSON.parse(text));
const store_bytes = await bytes((text) => storeOf(JSON.parse(text)));
console.log(JSON.stringify({ few_us, many_us, array_bytes, store_bytes }));
