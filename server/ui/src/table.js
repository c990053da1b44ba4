// Data tables. In: columns and rows. Out: an element whose rows open by click or Enter.
// Keeps focus and selection by key when rows are replaced. Never: markup from values.

import { fill, h } from "./dom.js";

/** @typedef {import("./api.js").Row} Row */
/** @typedef {import("./dom.js").Child} Child */
/**
 * @typedef {object} Column
 * @property {string} label
 * @property {(row: Row) => Child | Child[]} cell
 * @property {string} [sort] order that a click on the head asks for
 * @property {"num" | "wide" | "clip"} [kind] how the cell is laid out
 * @property {(row: Row) => string} [title] tooltip of the cell
 * @property {string} [doc] tooltip of the head
 */
/**
 * @typedef {object} TableOptions
 * @property {string} label for screen readers
 * @property {Column[]} columns
 * @property {(row: Row) => string} key
 * @property {(row: Row) => void} [onOpen]
 * @property {(sort: string) => void} [onSort]
 * @property {() => Child} empty what to show, and what to do, when there are no rows
 */

/**
 * @param {TableOptions} options
 */
export function createTable(options) {
  const head = h("tr");
  const body = h("tbody");
  const table = h("table", { class: "data", "aria-label": options.label }, h("thead", {}, head), body);
  const nothing = h("div", { class: "hidden" });
  const element = h("div", { class: "table-frame" }, table, nothing);
  /** @type {Map<string, Row>} */
  let byKey = new Map();
  let selected = "";
  showHead("", false);

  if (options.onOpen) {
    table.addEventListener("click", (event) => open(event));
    table.addEventListener("keydown", (event) => {
      if (event.key === "Enter") open(event);
      if (event.key === "ArrowDown" || event.key === "ArrowUp") move(event);
    });
  }

  /** @param {Event} event */
  function open(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.closest("a, button")) return;
    const line = target.closest("tr[data-key]");
    const row = byKey.get(line?.getAttribute("data-key") ?? "");
    if (row) options.onOpen?.(row);
  }

  /** @param {KeyboardEvent} event */
  function move(event) {
    const line = /** @type {HTMLElement} */ (event.target).closest("tr[data-key]");
    const next = event.key === "ArrowDown" ? line?.nextElementSibling : line?.previousElementSibling;
    if (next instanceof HTMLElement) {
      event.preventDefault();
      next.focus();
    }
  }

  /**
   * @param {string} sort
   * @param {boolean} descending
   */
  function showHead(sort, descending) {
    fill(head, options.columns.map((column) => {
      const active = column.sort !== undefined && column.sort === sort;
      const label = column.sort && options.onSort
        ? h("button", { type: "button", on: { click: () => options.onSort?.(column.sort ?? "") } }, column.label, active ? (descending ? " ▾" : " ▴") : "")
        : column.label;
      return h("th", { scope: "col", class: column.kind === "num" ? "num" : null, title: column.doc ?? null, "aria-sort": active ? (descending ? "descending" : "ascending") : null }, label);
    }));
  }

  /**
   * @param {Row[]} rows
   * @param {{ sort?: string, descending?: boolean }} [order]
   */
  function update(rows, order) {
    if (order) showHead(order.sort ?? "", order.descending ?? false);
    const focused = document.activeElement instanceof HTMLElement && body.contains(document.activeElement) ? document.activeElement.closest("tr")?.getAttribute("data-key") : null;
    byKey = new Map(rows.map((row) => [options.key(row), row]));
    fill(body, rows.map(line));
    table.classList.toggle("hidden", rows.length === 0);
    nothing.classList.toggle("hidden", rows.length > 0);
    if (rows.length === 0) fill(nothing, options.empty());
    if (focused) lineOf(focused)?.focus();
  }

  /** @param {Row} row */
  function line(row) {
    const key = options.key(row);
    return h("tr", { "data-key": key, tabindex: options.onOpen ? 0 : null, "aria-selected": options.onOpen ? String(key === selected) : null },
      options.columns.map(({ kind, cell, title }) => h("td", { class: kind ?? null, title: title?.(row) ?? null }, cell(row))));
  }

  /**
   * Marks a row; "" marks none.
   * @param {string} key
   */
  function select(key) {
    selected = key;
    for (const each of body.children) each.setAttribute("aria-selected", String(each.getAttribute("data-key") === key));
  }

  /** @param {string} key @returns {HTMLElement | undefined} */
  function lineOf(key) {
    return /** @type {HTMLElement | undefined} */ ([...body.children].find((each) => each.getAttribute("data-key") === key));
  }

  return { element, update, select, focus: (/** @type {string} */ key) => lineOf(key)?.focus() };
}
