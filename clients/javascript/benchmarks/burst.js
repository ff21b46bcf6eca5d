/**
 * Receive a burst of notifications, by the client or by a bare WebSocket and JSON.parse, and print the objects per second:
 * `node benchmarks/burst.js client|bare http://127.0.0.1:PORT COUNT`. Measured from `hello` to the last object.
 */
import { createHerald } from '../src/index.js';

const [how, url, text] = process.argv.slice(2);
const count = Number(text);
let began = 0;
let received = 0;

function arrived() {
  if (++received === count) {
    console.log(count / ((performance.now() - began) / 1000));
    process.exit();
  }
}

if (how === 'bare') {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, ['herald.v1']);
  socket.onopen = () => socket.send('{"resume":{}}');
  socket.onmessage = ({ data }) => {
    for (const line of data.split('\n')) {
      if (JSON.parse(line).kind === 'hello') began = performance.now();
      else arrived();
    }
  };
} else {
  const herald = createHerald({ url, user: 'ada', transport: 'websocket', storage: 'memory', tabs: false });
  herald.on('state', ({ state }) => {
    if (state === 'live') began = performance.now();
  });
  herald.on('notification', arrived);
}
