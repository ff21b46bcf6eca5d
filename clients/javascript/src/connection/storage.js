/**
 * Where the client keeps small values between two visits: IndexedDB, localStorage or memory.
 * @typedef {object} Storage
 * @property {(key: string) => Promise<any>} get undefined if there is none
 * @property {(key: string, value: any) => Promise<void>} set
 * @property {(prefix: string) => Promise<void>} clear remove all keys that begin with this
 */

const NAME = 'herald';

/**
 * @param {'indexeddb' | 'local' | 'memory' | 'auto'} [kind] `auto`: the first that works
 * @returns {Promise<Storage>}
 */
export async function openStorage(kind = 'auto') {
  if (kind !== 'memory' && kind !== 'local') {
    const opened = await openDatabase().catch(() => null);
    if (opened) return opened;
  }
  return (kind !== 'memory' && localValues()) || memory();
}

/** @returns {Storage} */
export function memory() {
  const values = new Map();
  return {
    get: async (key) => values.get(key),
    set: async (key, value) => void values.set(key, value),
    async clear(prefix) {
      for (const key of values.keys()) if (key.startsWith(prefix)) values.delete(key);
    },
  };
}

/** @returns {Storage | null} null where the browser refuses it */
function localValues() {
  const full = (/** @type {string} */ key) => `${NAME}:${key}`;
  try {
    const { localStorage } = globalThis;
    localStorage.setItem(full('?'), '');
    localStorage.removeItem(full('?'));
    return {
      async get(key) {
        const text = localStorage.getItem(full(key));
        return text === null ? undefined : JSON.parse(text);
      },
      set: async (key, value) => localStorage.setItem(full(key), JSON.stringify(value)),
      async clear(prefix) {
        for (const key of Object.keys(localStorage)) if (key.startsWith(full(prefix))) localStorage.removeItem(key);
      },
    };
  } catch {
    return null;
  }
}

/** @returns {Promise<Storage>} */
async function openDatabase() {
  const opening = indexedDB.open(NAME, 1);
  opening.onupgradeneeded = () => void opening.result.createObjectStore('values');
  const database = await result(opening);
  // Another version of the client may need to upgrade the database.
  database.onversionchange = () => database.close();
  /** @param {(store: IDBObjectStore) => IDBRequest} change */
  const write = async (change) => {
    const transaction = database.transaction('values', 'readwrite');
    const request = change(transaction.objectStore('values'));
    // Without this, what is written while the page is being closed is lost.
    transaction.commit();
    await result(request);
  };
  return {
    get: (key) => result(database.transaction('values').objectStore('values').get(key)),
    set: (key, value) => write((store) => store.put(value, key)),
    clear: (prefix) => write((store) => store.delete(IDBKeyRange.bound(prefix, `${prefix}\uffff`))),
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
