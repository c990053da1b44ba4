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

export class Table {
  #options;
  #head = h("tr");
  #body = h("tbody");
  #table;
  #nothing = h("div", { class: "hidden" });
  /** @type {Map<string, Row>} */
  #byKey = new Map();
  #selected = "";

  /** @param {TableOptions} options */
  constructor(options) {
    this.#options = options;
    this.#table = h("table", { class: "data", "aria-label": options.label }, h("thead", {}, this.#head), this.#body);
    this.element = h("div", { class: "table-frame" }, this.#table, this.#nothing);
    this.#showHead("", false);
    if (!options.onOpen) return;
    this.#table.addEventListener("click", (event) => this.#open(event));
    this.#table.addEventListener("keydown", (event) => {
      // Without the default: the focus moves, and Enter would press what it moves to.
      if (event.key === "Enter" && this.#open(event)) event.preventDefault();
      if (event.key === "ArrowDown" || event.key === "ArrowUp") this.#move(event);
    });
  }

  /**
   * @param {Row[]} rows
   * @param {{ sort?: string, descending?: boolean }} [order] what the rows are ordered by
   */
  update(rows, order) {
    if (order) this.#showHead(order.sort ?? "", order.descending ?? false);
    const active = document.activeElement;
    const focused = active && this.#body.contains(active) ? active.closest("tr")?.getAttribute("data-key") : null;
    this.#byKey = new Map(rows.map((row) => [this.#options.key(row), row]));
    fill(this.#body, rows.map((row) => this.#line(row)));
    this.#table.classList.toggle("hidden", rows.length === 0);
    this.#nothing.classList.toggle("hidden", rows.length > 0);
    if (rows.length === 0) fill(this.#nothing, this.#options.empty());
    if (focused) this.focus(focused);
  }

  /**
   * Marks a row; "" marks none.
   * @param {string} key
   */
  select(key) {
    this.#selected = key;
    for (const each of this.#body.children) each.setAttribute("aria-selected", String(each.getAttribute("data-key") === key));
  }

  /** @param {string} key */
  focus(key) {
    const line = [...this.#body.children].find((each) => each.getAttribute("data-key") === key);
    if (line instanceof HTMLElement) line.focus();
  }

  /** @param {Row} row */
  #line(row) {
    const key = this.#options.key(row);
    const opens = this.#options.onOpen !== undefined;
    return h("tr", { "data-key": key, tabindex: opens ? 0 : null, "aria-selected": opens ? String(key === this.#selected) : null },
      this.#options.columns.map(({ kind, cell, title }) => h("td", { class: kind ?? null, title: title?.(row) ?? null }, cell(row))));
  }

  /**
   * @param {string} sort
   * @param {boolean} descending
   */
  #showHead(sort, descending) {
    const { columns, onSort } = this.#options;
    fill(this.#head, columns.map((column) => {
      const active = column.sort !== undefined && column.sort === sort;
      const label = column.sort && onSort
        ? h("button", { type: "button", on: { click: () => onSort(column.sort ?? "") } }, column.label, active ? (descending ? " ▾" : " ▴") : "")
        : column.label;
      const order = active ? (descending ? "descending" : "ascending") : null;
      return h("th", { scope: "col", class: column.kind === "num" ? "num" : null, title: column.doc ?? null, "aria-sort": order }, label);
    }));
  }

  /** @param {Event} event @returns {boolean} whether a row was opened */
  #open(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.closest("a, button")) return false;
    const row = this.#byKey.get(target.closest("tr[data-key]")?.getAttribute("data-key") ?? "");
    if (row) this.#options.onOpen?.(row);
    return row !== undefined;
  }

  /** @param {KeyboardEvent} event */
  #move(event) {
    const line = /** @type {HTMLElement} */ (event.target).closest("tr[data-key]");
    const next = event.key === "ArrowDown" ? line?.nextElementSibling : line?.previousElementSibling;
    if (!(next instanceof HTMLElement)) return;
    event.preventDefault();
    next.focus();
  }
}
