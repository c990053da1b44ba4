// Where one is in a log that is read page by page. In: what the person asks, rows that came.
// Out: the cursor of the page to fetch, and the words under the table. Pure.

import { count } from "./format.js";

/** @typedef {import("./queries/logs.js").Cursor} Cursor */
/** `before[n]` is the cursor of page n; the first page has none. @typedef {{ before: (Cursor | null)[], rows: number }} Paging */

/**
 * @param {number} rows a page
 * @returns {Paging}
 */
export function firstPage(rows) {
  return { before: [null], rows };
}

/**
 * The cursor to fetch the current page with.
 * @param {Paging} paging
 */
export function cursorOf(paging) {
  return paging.before[paging.before.length - 1];
}

/**
 * The page after the one whose last row is given.
 * @param {Paging} paging
 * @param {Record<string, any>} last row with `order_value` and `id`
 * @returns {Paging}
 */
export function nextPage(paging, last) {
  return { ...paging, before: [...paging.before, { value: last.order_value, id: String(last.id) }] };
}

/**
 * @param {Paging} paging
 * @returns {Paging}
 */
export function previousPage(paging) {
  return paging.before.length > 1 ? { ...paging, before: paging.before.slice(0, -1) } : paging;
}

/** @param {Paging} paging */
export function isFirst(paging) {
  return paging.before.length === 1;
}

/**
 * "101–200 of 12,345".
 * @param {Paging} paging
 * @param {number} shown rows on this page
 * @param {number} total
 */
export function position(paging, shown, total) {
  if (shown === 0) return "no rows";
  const first = (paging.before.length - 1) * paging.rows + 1;
  return `${count(first)}–${count(first + shown - 1)} of ${count(Math.max(total, first + shown - 1))}`;
}
