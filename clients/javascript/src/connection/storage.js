/**
 * Where the client keeps small values between two visits: IndexedDB, localStorage or memory. What cannot be stored is
 * forgotten.
 * @typedef {object} Storage
 * @property {(key: string) => Promise<any>} get undefined if there is none
 * @property {(key: string, value: any) => Promise<void>} set
 * @property {(prefix: string) => Promise<void>} clear remove all keys that begin with this
 *
 * @typedef {'indexeddb' | 'local' | 'memory' | 'auto'} StorageKind `auto`: the first that works
 */

const NAME = 'herald';
const OPEN_MS = 2_000;

/**
 * @param {StorageKind} [kind]
 * @returns {Storage}
 */
export function openStorage(kind = 'auto') {
  const opened = open(kind);
  /** @param {(storage: Storage) => Promise<any>} use */
  const use = (use) => opened.then(use).catch(() => {});
  return {
    get: (key) => use((storage) => storage.get(key)),
    set: (key, value) => use((storage) => storage.set(key, value)),
    clear: (prefix) => use((storage) => storage.clear(prefix)),
  };
}

/**
 * @param {StorageKind} kind
 * @returns {Promise<Storage>}
 */
async function open(kind) {
  for (const [name, make] of /** @type {const} */ ([['indexeddb', indexed], ['local', local]])) {
    if (kind !== 'auto' && kind !== name) continue;
    try {
      return await make();
    } catch {
      // The browser does not have it, or refuses it.
    }
  }
  return memory();
}

/** @returns {Storage} */
function memory() {
  const values = new Map();
  return {
    get: async (key) => values.get(key),
    set: async (key, value) => void values.set(key, value),
    clear: async (prefix) => values.forEach((_, key) => key.startsWith(prefix) && values.delete(key)),
  };
}

/** @returns {Storage} */
function local() {
  const { localStorage } = globalThis;
  localStorage.setItem(NAME, '');
  return {
    get: async (key) => JSON.parse(localStorage.getItem(NAME + key) ?? 'null') ?? undefined,
    set: async (key, value) => localStorage.setItem(NAME + key, JSON.stringify(value)),
    clear: async (prefix) =>
      Object.keys(localStorage).forEach((key) => key.startsWith(NAME + prefix) && localStorage.removeItem(key)),
  };
}

/** @returns {Promise<Storage>} */
async function indexed() {
  const opening = indexedDB.open(NAME, 1);
  opening.onupgradeneeded = () => void opening.result.createObjectStore(NAME);
  // Some browsers never answer after a crash.
  const late = new Promise((_, reject) => setTimeout(reject, OPEN_MS));
  const database = /** @type {IDBDatabase} */ (await Promise.race([result(opening), late]));
  // Another version of the client may need to upgrade the database.
  database.onversionchange = () => database.close();
  /**
   * @param {IDBTransactionMode} mode
   * @param {(store: IDBObjectStore) => IDBRequest} run
   */
  const request = (mode, run) => {
    const transaction = database.transaction(NAME, mode);
    const pending = result(run(transaction.objectStore(NAME)));
    // Without this, what is written while the page is being closed is lost.
    transaction.commit();
    return pending;
  };
  return {
    get: (key) => request('readonly', (store) => store.get(key)),
    set: (key, value) => request('readwrite', (store) => store.put(value, key)),
    clear: (prefix) => request('readwrite', (store) => store.delete(IDBKeyRange.bound(prefix, `${prefix}\uffff`))),
  };
}

/**
 * @template Result
 * @param {IDBRequest<Result>} request
 * @returns {Promise<Result>}
 */
function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
