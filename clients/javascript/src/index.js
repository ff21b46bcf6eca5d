/** The client of Herald for browsers and Node. docs/clients.md describes how it behaves. */
export { Emitter } from './events.js';
export { Token } from './connection/token.js';
export { HeraldProblem } from './rest/problem.js';
