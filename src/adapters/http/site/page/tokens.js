/** The user in a token (a JWT), for display only: the server verifies the token. `name` is the claim of the user; with
 * dots it can also be a path. Null if the text is not a JWT, or the claim is not a user. */
export function userOf(token, name) {
  try {
    const base64 = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    const user = claims[name] ?? name.split(".").reduce((value, part) => value?.[part], claims);
    return typeof user === "string" || Number.isSafeInteger(user) ? String(user) : null;
  } catch {
    return null;
  }
}
