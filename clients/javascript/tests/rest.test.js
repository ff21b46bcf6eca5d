// Requests to the REST API: tokens, problems, addresses, preferences.
import assert from 'node:assert/strict';
import test from 'node:test';

import { baseOf } from '../src/address.js';
import { Token } from '../src/connection/token.js';
import { Rest } from '../src/rest/client.js';
import { PreferencesClient } from '../src/rest/preferences.js';
import { HeraldProblem } from '../src/rest/problem.js';

const json = (/** @type {any} */ body, /** @type {ResponseInit} */ init = {}) => new Response(JSON.stringify(body), init);

/**
 * A client whose requests get these responses, and the requests that it sent.
 * @param {((address: URL, init: any) => Response | Promise<Response>)[]} responses
 * @param {any} [options]
 */
function rest(responses, options = {}) {
  /** @type {{address: URL, init: any}[]} */
  const sent = [];
  const fetch = async (/** @type {any} */ address, /** @type {any} */ init) => {
    sent.push({ address, init });
    return /** @type {any} */ (responses.shift())(address, init);
  };
  const base = baseOf('https://shop.example/herald');
  return { sent, client: new Rest({ base, token: new Token(null), fetch: /** @type {any} */ (fetch), ...options }) };
}

test('a request goes below the address of Herald, and the token stands in a header only', async () => {
  const ok = () => json({ data: [] });
  const signedIn = rest([ok], { token: new Token('secret'), user: 'ada' });
  await signedIn.client.request('PUT', '/api/v2/notifications/seen', { query: { a: 1, b: null, c: false }, body: { up_to: 5 } });
  const [{ address, init }] = /** @type {any} */ (signedIn.sent);
  assert.equal(address.href, 'https://shop.example/herald/api/v2/notifications/seen?a=1&c=false');
  assert.deepEqual([init.method, init.headers.authorization, init.body, init.redirect], ['PUT', 'Bearer secret', '{"up_to":5}', 'error']);
  const open = rest([ok], { user: 'ada' });
  await open.client.request('GET', 'api/v2/types');
  assert.equal(open.sent[0]?.address.search, '?user_id=ada');
  assert.equal(open.sent[0]?.init.headers.authorization, undefined);
});

test('a refused token is renewed once, also for several requests at the same time', async () => {
  let renewals = 0;
  const source = () => `token ${++renewals}`;
  const answer = (/** @type {any} */ _, /** @type {any} */ { headers }) =>
    headers.authorization === 'Bearer token 2' ? json('fine') : json({ code: 'token_expired' }, { status: 401 });
  const { client, sent } = rest(Array(6).fill(answer), { token: new Token(source) });
  assert.deepEqual(await Promise.all([1, 2, 3].map(() => client.request('GET', 'x'))), ['fine', 'fine', 'fine']);
  assert.deepEqual([renewals, sent.length], [2, 6]);
  const fixed = rest([answer], { token: new Token('old') });
  await assert.rejects(fixed.client.request('GET', 'x'), { code: 'token_expired', status: 401 });
});

test('a problem has a code, and says whether the request may succeed later', async () => {
  const problem = { code: 'invalid_input', title: 'Invalid input', detail: 'up_to: not an id', field: 'up_to', status: 422 };
  const cases = /** @type {[(() => any), object][]} */ ([
    [() => json(problem, { status: 422 }), { code: 'invalid_input', field: 'up_to', message: 'Invalid input: up_to: not an id', isTemporary: false }],
    [() => json({ code: 'too_many_requests' }, { status: 429, headers: { 'retry-after': '3' } }), { retryAfter: 3, isTemporary: true }],
    [() => new Response('<html>', { status: 502 }), { code: 'not_herald', status: 502, isTemporary: true }],
    [() => new Response('<html>', { status: 403 }), { code: 'not_herald', isTemporary: false }],
    [() => new Response('<html>'), { code: 'not_herald', isTemporary: false }],
    [() => Promise.reject(new TypeError('fetch failed')), { code: 'unreachable', status: 0, isTemporary: true }],
  ]);
  for (const [response, expected] of cases) {
    const error = await rest([response]).client.request('GET', 'x').then(() => null, (caught) => caught);
    assert.ok(error instanceof HeraldProblem);
    for (const [name, value] of Object.entries(expected)) assert.equal(/** @type {any} */ (error)[name], value, name);
  }
});

test('a request without a response ends, and one that is not wanted any more is no problem of Herald', async () => {
  const never = (/** @type {any} */ _, /** @type {any} */ { signal }) =>
    new Promise((_, reject) => (signal.aborted ? reject(signal.reason) : signal.addEventListener('abort', () => reject(signal.reason))));
  // The timer of AbortSignal.timeout does not keep Node alive.
  const alive = setInterval(() => {}, 1000);
  await assert.rejects(rest([never], { timeoutMs: 5 }).client.request('GET', 'x'), { code: 'unreachable' });
  const abort = new AbortController();
  const request = rest([never]).client.request('GET', 'x', { signal: abort.signal });
  abort.abort();
  await assert.rejects(request, { name: 'AbortError' });
  clearInterval(alive);
});

test('a type is muted beside those that another device has muted', async () => {
  const { client, sent } = rest([() => json({ muted_types: ['b'] }), () => json({}), () => json({ muted_types: ['a', 'b'] }), () => json({})]);
  const preferences = new PreferencesClient(client);
  await preferences.mute('a');
  await preferences.mute('b', false);
  assert.deepEqual([sent[1]?.init.body, sent[3]?.init.body], ['{"muted_types":["b","a"]}', '{"muted_types":["a"]}']);
});
