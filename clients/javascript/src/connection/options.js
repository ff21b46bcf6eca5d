/**
 * @typedef {import('./positions.js').ServerObject} ServerObject
 * @typedef {import('./transport_choice.js').TransportName} TransportName
 *
 * @typedef {object} State
 * @property {'connecting' | 'live' | 'waiting' | 'offline' | 'stopped'} state
 * @property {string} reason why, for people
 * @property {number} [code] close code or HTTP status, if there is one
 * @property {number} [retryAt] when the client connects again, in milliseconds since 1970
 * @property {TransportName} [transport] in the state `live`
 * @property {boolean} [feedsPaused] in the state `live`: polling does not receive broadcasts
 * @property {boolean} [signedOut] in the state `stopped`: what was stored of the user is cleared
 *
 * @typedef {object} ConnectionOptions
 * @property {Omit<import('./transport.js').Request, 'token' | 'resume' | 'isCursorInAddress' | 'pollMs'>} request
 * @property {import('./token.js').Token} token
 * @property {TransportName | 'auto'} transport
 * @property {(token: string | null) => boolean} identify whether to connect with this token
 * @property {() => import('./positions.js').ResumePoint | null} resumePoint
 * @property {import('./storage.js').Storage} storage where the transport is remembered
 * @property {(objects: ServerObject[]) => void} received
 * @property {(state: State) => void} onState
 * @property {(error: unknown) => void} onTokenError
 * @property {Partial<typeof TIMING>} [timing]
 */

export const TIMING = {
  /** The longest time from an attempt to `hello`. */
  openMs: 10_000,
  /** Between two checks whether anything was received. After a longer time the computer has slept. */
  checkMs: 5_000,
  /** After a sleep: what was received meanwhile is read first. */
  graceMs: 2_000,
  /** The shortest wait while the browser reports that there is no network: it may be mistaken. */
  offlineMs: 15_000,
  /** Between two requests of polling. */
  pollMs: 5_000,
  /** Until better transports are tried: at first, and after they have failed. */
  upgradeMs: 3_000,
  rememberMs: 600_000,
};
