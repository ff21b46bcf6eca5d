/** Asks Herald; returns its answer, decoded from JSON, or as text. What it refuses, and that it can't be reached, is an
 * Error in words, with the `status` of a refusal. */
export async function ask(method, path, { token, query = {}, body, as = "json" } = {}) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query)) if (value != null) url.searchParams.set(name, value);
  const headers = { ...(body && { "content-type": "application/json" }) };
  if (token) headers.authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(url, { method, headers, body, cache: "no-store" });
  } catch {
    throw new Error("Herald does not answer.");
  }
  if (response.ok && as === "text") return response.text();
  const answer = await response.json().catch(() => ({ title: "This is not Herald's answer." }));
  if (response.ok) return answer;
  const words = [answer.title, answer.detail].filter(Boolean).join(": ");
  const later = response.status === 429 ? ` Try again in ${response.headers.get("retry-after")} s.` : "";
  throw Object.assign(new Error(`${words} (${response.status})${later}`), { status: response.status });
}
