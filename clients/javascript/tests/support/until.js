import assert from 'node:assert/strict';

/**
 * Wait until a condition holds.
 * @param {() => unknown} condition
 * @param {string} [what]
 * @param {number} [ms]
 */
export async function until(condition, what = String(condition), ms = 15_000) {
  for (const end = Date.now() + ms; !(await condition()); await new Promise((resolve) => setTimeout(resolve, 5))) {
    assert.ok(Date.now() < end, `not within ${ms} ms: ${what}`);
  }
}
