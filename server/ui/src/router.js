// Addresses. In and out: "#/requests?range=15m&port=80" and { page, params }.
// Never: touches the window; main.js listens and navigates.

/** @typedef {Record<string, string>} Params */
/** @typedef {{ page: string, params: Params }} Route */

/**
 * Reads the fragment of an address; without a page it is `fallback`.
 * @param {string} hash
 * @param {string} fallback
 * @returns {Route}
 */
export function parseRoute(hash, fallback) {
  const [path, search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const params = Object.fromEntries(new URLSearchParams(search));
  return { page: /^[a-z]+$/.test(path) ? path : fallback, params };
}

/**
 * The fragment of a route; empty parameters are left out.
 * @param {string} page
 * @param {Record<string, string | number | undefined | null>} [params]
 */
export function href(page, params = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return `#/${page}${text ? `?${text}` : ""}`;
}

/**
 * What a link to another page keeps of where one is: the time range.
 * @param {Params} params
 * @returns {Params}
 */
export function shared(params) {
  return params.range ? { range: params.range } : {};
}
