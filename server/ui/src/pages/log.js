// What request log and flow log have in common: filters, histogram, table, pages, details, CSV.

import { query } from "../api.js";
import { Chart } from "../chart.js";
import { csv, download } from "../csv.js";
import { h } from "../dom.js";
import { Drawer } from "../drawer.js";
import { createFilterbar } from "../filterbar.js";
import { readFilters } from "../filters.js";
import { count } from "../format.js";
import { enumName } from "../labels.js";
import * as paging from "../paging.js";
import { panel, statusTone } from "../parts.js";
import { histogram, page as pageStatement } from "../queries/logs.js";
import { formatRange } from "../range.js";
import { rates } from "../summary.js";
import { Table } from "../table.js";

/** @typedef {import("../api.js").Row} Row */
/** @typedef {import("../page.js").View} View */
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

export class LogPage {
  #frame;
  #options;
  #save = h("button", { type: "button", title: `Up to ${count(CSV_MAX_ROWS)} rows of this selection`, on: { click: () => void this.#saveCsv() } }, "Download CSV");
  #filters;
  #chart;
  #drawer;
  #list;
  #back = h("button", { type: "button", on: { click: () => this.#turn(paging.previousPage(this.#place)) } }, "‹ Newer");
  #on = h("button", { type: "button", on: { click: () => this.#turn(paging.nextPage(this.#place, this.#rows[this.#rows.length - 1])) } }, "Older ›");
  #where = h("span", { class: "muted", role: "status" });
  #place = paging.firstPage(PAGE_ROWS);
  #signature = "";
  #opened = "";
  /** @type {Row[]} */
  #rows = [];
  /** @type {View | null} */
  #shown = null;

  /**
   * @param {import("../page.js").Frame} frame
   * @param {LogOptions} options
   */
  constructor(frame, options) {
    this.#frame = frame;
    this.#options = options;
    const rowsOf = (/** @type {number | null | undefined} */ value) => (value === null || value === undefined ? "–" : count(value));
    this.#filters = createFilterbar(options.filters, frame);
    this.#chart = new Chart({ label: `${options.title} by status`, format: rowsOf, stacked: true, height: 84, onZoom: frame.zoom, empty: "no rows in this range" });
    this.#drawer = new Drawer(options.table, { onClose: () => this.#closed(), onOpen: (row) => this.#open(row), range: () => this.#fixedRange() });
    this.#list = new Table({ label: options.title, columns: options.columns, key: (row) => String(row.id), onOpen: (row) => this.#open(row), onSort: (key) => this.#sortBy(key), empty: options.empty });
    this.element = h("div", { class: "page" },
      h("div", { class: "page-head" }, h("h1", {}, options.title), h("span", { class: "grow" }), this.#save),
      this.#filters.element,
      panel("Rows by status", {}, this.#chart.element),
      h("section", { class: "panel", "aria-label": options.title }, this.#list.element, h("div", { class: "pager" }, this.#back, this.#on, this.#where)),
      this.#drawer.element);
  }

  /** @param {View} view */
  async refresh(view) {
    const { span, params, signal } = view;
    const { table, filters } = this.#options;
    this.#filters.show(params);
    const signature = JSON.stringify(params);
    if (signature !== this.#signature) this.#place = paging.firstPage(PAGE_ROWS);
    this.#signature = signature;
    const { values } = readFilters(filters, params);
    const order = orderOf(params);
    const [found, counts] = await Promise.all([
      query(pageStatement(table, span, values, order, paging.cursorOf(this.#place), PAGE_ROWS), signal),
      query(histogram(table, span, values), signal),
    ]);
    this.#shown = view;
    this.#rows = found.rows;
    this.#list.update(found.rows, { sort: order.key, descending: order.descending });
    this.#drawHistogram(counts.rows, span);
    const byTime = order.key === "time" && order.descending;
    this.#showPager(byTime, counts.rows.reduce((sum, row) => sum + Number(row.rows), 0));
    return byTime && paging.isFirst(this.#place) && found.rows.length > 0 ? Number(found.rows[0].end_us) / 1e6 : null;
  }

  close() {
    this.#drawer.close();
    this.#chart.destroy();
  }

  /**
   * @param {Row[]} rows
   * @param {import("../range.js").Span} span
   */
  #drawHistogram(rows, span) {
    // Counts, not rates: whole buckets, the newest one as far as it has come.
    const whole = { ...span, live: false, from: Math.floor(span.from / span.step) * span.step, to: Math.ceil(span.to / span.step) * span.step };
    const { times, series } = rates(rows.map((row) => ({ ...row, name: row.status })), whole,
      (row) => Number(row.rows) * span.step, (id) => enumName(this.#options.statuses, id), statusTone);
    this.#chart.update(times, series);
  }

  /**
   * @param {boolean} byTime newest first
   * @param {number} total
   */
  #showPager(byTime, total) {
    this.#where.textContent = paging.position(this.#place, this.#rows.length, total);
    this.#back.textContent = byTime ? "‹ Newer" : "‹ Back";
    this.#on.textContent = byTime ? "Older ›" : "Next ›";
    this.#back.disabled = paging.isFirst(this.#place);
    this.#on.disabled = this.#rows.length < PAGE_ROWS;
  }

  /** Rows that come in while one reads on would only move the page: refreshes stop until page one. @param {import("../paging.js").Paging} next */
  #turn(next) {
    this.#place = next;
    this.#frame.freeze(!paging.isFirst(next));
    this.#frame.refresh();
  }

  /** @param {Row} row */
  #open(row) {
    this.#opened = String(row.id);
    this.#list.select(this.#opened);
    void this.#drawer.open(row);
  }

  #closed() {
    this.#list.select("");
    this.#list.focus(this.#opened);
  }

  /** Related rows are looked for in the time that the page shows. */
  #fixedRange() {
    return this.#shown ? formatRange({ kind: "fixed", from: this.#shown.span.from, to: this.#shown.span.to }) : "";
  }

  /** @param {string} key */
  #sortBy(key) {
    const { key: now, descending } = orderOf(this.#shown?.params ?? {});
    const next = key === now && descending ? `${key}.asc` : key;
    this.#frame.set({ sort: next === "time" ? undefined : next });
  }

  async #saveCsv() {
    if (!this.#shown) return;
    const { span, params } = this.#shown;
    const { values } = readFilters(this.#options.filters, params);
    this.#save.disabled = true;
    try {
      /** @type {Row[]} */
      const all = [];
      let place = paging.firstPage(CSV_STEP_ROWS);
      while (all.length < CSV_MAX_ROWS) {
        const part = (await query(pageStatement(this.#options.table, span, values, orderOf(params), paging.cursorOf(place), CSV_STEP_ROWS))).rows;
        all.push(...part);
        if (part.length < CSV_STEP_ROWS) break;
        place = paging.nextPage(place, part[part.length - 1]);
      }
      const columns = Object.keys(all[0] ?? { id: "" }).filter((name) => name !== "order_value");
      download(`${this.#options.table}.csv`, csv(columns, all));
    } catch (error) {
      this.#where.textContent = `The download failed: ${error instanceof Error ? error.message : error}`;
    } finally {
      this.#save.disabled = false;
    }
  }
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
