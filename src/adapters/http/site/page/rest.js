/** Sends a request to Herald and returns the response, decoded from JSON or as text. Throws an Error with a readable
 * message if Herald is unreachable or refuses the request; a refusal has a `status`. */
export async function request(method, path, { token, query = {}, body, as = "json" } = {}) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query)) if (value != null) url.searchParams.set(name, value);
  const headers = { ...(body && { "content-type": "application/json" }) };
  if (token) headers.authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(url, { method, headers, body, cache: "no-store" });
  } catch {
    throw new Error("Herald is unreachable.");
  }
  if (response.ok && as === "text") return response.text();
  const content = await response.json().catch(() => ({ title: "The response is not from Herald" }));
  if (response.ok) return content;
  const text = [content.title, content.detail].filter(Boolean).join(": ");
  const retry = response.status === 429 ? ` Try again in ${response.headers.get("retry-after")} s.` : "";
  throw Object.assign(new Error(`${text} (${response.status})${retry}`), { status: response.status });
}
