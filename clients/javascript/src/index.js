/** The client of Herald for browsers and Node. docs/clients.md describes how it behaves. */
export { createHerald, Herald } from './herald.js';
export { ItemList } from './inbox/item_list.js';
export { HeraldProblem } from './rest/problem.js';
