/** The user in a token (a JWT), for display only: the server verifies the token. Null if the text is not a JWT or its
 * `sub` is not a user. */
export function userOf(token) {
  try {
    const base64 = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const { sub } = JSON.parse(new TextDecoder().decode(bytes));
    return typeof sub === "string" || Number.isSafeInteger(sub) ? String(sub) : null;
  } catch {
    return null;
  }
}
