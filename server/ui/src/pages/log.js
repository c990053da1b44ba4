// What request log and flow log have in common: filters, histogram, table, pages, details, CSV.

import { query } from "../api.js";
import { createChart } from "../chart.js";
import { csv, download } from "../csv.js";
import { h } from "../dom.js";
import { createDrawer } from "../drawer.js";
import { createFilterbar } from "../filterbar.js";
import { readFilters } from "../filters.js";
import { enumName } from "../labels.js";
import * as paging from "../paging.js";
import { panel, statusTone } from "../parts.js";
import { histogram, page as pageStatement } from "../queries/logs.js";
import { formatRange } from "../range.js";
import { rates } from "../summary.js";
import { createTable } from "../table.js";
import { count } from "../format.js";

/** @typedef {import("../api.js").Row} Row */
/**
 * @typedef {object} LogOptions
 * @property {import("../queries/logs.js").Log} table
 * @property {string} title
 * @property {import("../filters.js").Filter[]} filters
 * @property {import("../table.js").Column[]} columns
 * @property {"ResponseStatus" | "FlowStatus"} statuses
 * @property {() => import("../dom.js").Child} empty
 */

const PAGE_ROWS = 100;

/** Rows of one statement of a download (the server's limit), and of a download as a whole. */
const CSV_STEP_ROWS = 10000;
const CSV_MAX_ROWS = 50000;

/**
 * @param {import("../page.js").Frame} frame
 * @param {LogOptions} options
 * @returns {import("../page.js").Page}
 */
export function createLog(frame, options) {
  const save = h("button", { type: "button", title: `Up to ${count(CSV_MAX_ROWS)} rows of this selection`, on: { click: () => void saveCsv() } }, "Download CSV");
  const filters = createFilterbar(options.filters, frame, save);
  const chart = createChart({ label: `${options.title} by status`, format: (value) => (value === null || value === undefined ? "–" : `${count(value)} rows`), stacked: true, height: 84, onZoom: frame.zoom, empty: "no rows in this range" });
  const drawer = createDrawer(options.table, { onClose: () => { list.select(""); list.focus(opened); }, onOpen: openRow, range: () => (shownView ? formatRange({ kind: "fixed", from: shownView.span.from, to: shownView.span.to }) : "") });
  const list = createTable({ label: options.title, columns: options.columns, key: (row) => row.id, onOpen: openRow, onSort: sortBy, empty: options.empty });
  const back = h("button", { type: "button", on: { click: () => turn(paging.previousPage(place)) } }, "‹ Newer");
  const on = h("button", { type: "button", on: { click: () => { if (rows.length > 0) turn(paging.nextPage(place, rows[rows.length - 1])); } } }, "Older ›");
  const where = h("span", { class: "muted", role: "status" });
  let place = paging.firstPage(PAGE_ROWS);
  let signature = "";
  let opened = "";
  /** @type {Row[]} */
  let rows = [];
  /** @type {import("../page.js").View | null} */
  let shownView = null;

  /** @param {Row} row */
  function openRow(row) {
    opened = String(row.id);
    list.select(opened);
    void drawer.open(row);
  }

  /** @param {import("../paging.js").Paging} next */
  function turn(next) {
    place = next;
    frame.freeze(!paging.isFirst(place));
    frame.refresh();
  }

  /** @param {string} key */
  function sortBy(key) {
    const { key: now, descending } = orderOf(shownView?.params ?? {});
    const next = key === now && descending ? `${key}.asc` : key;
    frame.set({ sort: next === "time" ? undefined : next });
  }

  async function saveCsv() {
    if (!shownView) return;
    const { span, params } = shownView;
    const { values } = readFilters(options.filters, params);
    save.disabled = true;
    try {
      /** @type {Row[]} */
      const all = [];
      let cursor = null;
      while (all.length < CSV_MAX_ROWS) {
        const part = (await query(pageStatement(options.table, span, values, orderOf(params), cursor, CSV_STEP_ROWS))).rows;
        all.push(...part);
        if (part.length < CSV_STEP_ROWS) break;
        cursor = paging.cursorOf(paging.nextPage(place, part[part.length - 1]));
      }
      const columns = Object.keys(all[0] ?? { id: 0 }).filter((name) => name !== "order_value");
      download(`${options.table}.csv`, csv(columns, all));
    } finally {
      save.disabled = false;
    }
  }

  return {
    element: h("div", { class: "page" },
      h("div", { class: "page-head" }, h("h1", {}, options.title)),
      filters.element,
      panel("Rows by status", {}, chart.element),
      h("section", { class: "panel", "aria-label": options.title }, list.element, h("div", { class: "pager" }, back, on, where)),
      drawer.element),

    async refresh(view) {
      const { span, params, signal } = view;
      filters.show(params);
      const next = JSON.stringify(params);
      if (next !== signature) {
        signature = next;
        place = paging.firstPage(PAGE_ROWS);
      }
      const { values } = readFilters(options.filters, params);
      const order = orderOf(params);
      const [found, counts] = await Promise.all([
        query(pageStatement(options.table, span, values, order, paging.cursorOf(place), PAGE_ROWS), signal),
        query(histogram(options.table, span, values), signal),
      ]);
      shownView = view;
      rows = found.rows;
      list.update(rows, { sort: order.key, descending: order.descending });
      const total = counts.rows.reduce((sum, row) => sum + Number(row.rows), 0);
      const lines = rates(counts.rows.map((row) => ({ ...row, name: row.status })), { ...span, live: false, from: Math.floor(span.from / span.step) * span.step, to: Math.ceil(span.to / span.step) * span.step },
        (row) => Number(row.rows) * span.step, (name) => enumName(options.statuses, name), statusTone);
      chart.update(lines.times, lines.series);
      where.textContent = paging.position(place, rows.length, total);
      const byTime = order.key === "time" && order.descending;
      back.textContent = byTime ? "‹ Newer" : "‹ Back";
      on.textContent = byTime ? "Older ›" : "Next ›";
      back.disabled = paging.isFirst(place);
      on.disabled = rows.length < PAGE_ROWS;
      return byTime && paging.isFirst(place) && rows.length > 0 ? Number(rows[0].end_us) / 1e6 : null;
    },

    close() {
      drawer.close();
      chart.destroy();
    },
  };
}

/**
 * The order that an address asks for: "duration" descending, "duration.asc" ascending.
 * @param {Record<string, string>} params
 * @returns {import("../queries/logs.js").Order}
 */
export function orderOf(params) {
  const [key, direction] = (params.sort || "time").split(".");
  return { key, descending: direction !== "asc" };
}
