import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { until } from './until.js';

const program = fileURLToPath(new URL('../../../../.venv/bin/herald', import.meta.url));

/** Why the tests with a real server are skipped; false if they are not. */
export const skip = existsSync(program) || process.env.HERALD_REQUIRE_REAL === '1' ? false : 'needs Herald in .venv: run `task setup`';

/** @returns {Promise<number>} a port that is free */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.on('listening', resolve));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/**
 * Start a Herald without authentication, which ends with the test.
 * @param {import('node:test').TestContext} t
 */
export async function startHerald(t) {
  const folder = mkdtempSync(join(tmpdir(), 'herald-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const env = {
    ...process.env, HERALD_HOST: '127.0.0.1', HERALD_PORT: String(port),
    DATABASE_URL: `sqlite+aiosqlite:///${folder}/herald.db`, HERALD_MAIL_FOLDER: `${folder}/mail`,
  };
  const server = spawn(program, ['dev'], { env, stdio: 'ignore' });
  t.after(async () => {
    const ended = new Promise((resolve) => server.on('exit', resolve));
    server.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true });
  });
  await until(() => fetch(`${url}/health/ready`).then(({ ok }) => ok, () => false), 'Herald is ready', 60_000);
  /** @param {string} source @param {object[]} payloads */
  const publish = (source, payloads) =>
    fetch(`${url}/api/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(payloads.map((payload) => ({ source, payload }))),
    });
  return { port, url, publish };
}

/**
 * A proxy whose connections can be cut.
 * @param {import('node:test').TestContext} t
 * @param {number} target a port
 * @param {{refusesUpgrades?: boolean, buffers?: boolean}} [faults] `buffers`: event streams get no response
 */
export async function startProxy(t, target, { refusesUpgrades = false, buffers = false } = {}) {
  /** @type {Set<import('node:net').Socket>} */
  const sockets = new Set();
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => (sockets.delete(socket), near.destroy(), far.destroy()));
    }
    far.pipe(near);
    near.on('data', (chunk) => {
      const text = chunk.toString('latin1');
      if (buffers && text.startsWith('GET /events/')) return;
      if (refusesUpgrades && /^upgrade: websocket/im.test(text)) near.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
      else far.write(chunk);
    });
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.on('listening', resolve));
  const cut = () => sockets.forEach((socket) => socket.destroy());
  t.after(() => (cut(), server.close()));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}`, cut };
}
