// The drawer with all of one row. In: a table's name and a listed row. Out: a dialog beside the page.
// Focus goes in when it opens and back to where it was when it closes; Escape closes.

import { getJson, query } from "./api.js";
import { fill, h } from "./dom.js";
import { facts, linksOf, summary } from "./facts.js";
import * as format from "./format.js";
import { enumName } from "./labels.js";
import { pointBadge, statusBadge } from "./parts.js";
import { names, row as rowStatement, rowOf, sameRequest } from "./queries/logs.js";
import { Table } from "./table.js";

/** @typedef {import("./api.js").Row} Row */
/** @typedef {import("./queries/logs.js").Log} Log */
/** @typedef {{ onClose: () => void, onOpen: (row: Row) => void, range: () => string }} Handlers */

export class Drawer {
  #table;
  #handlers;
  #title = h("h2", { class: "grow" });
  #body = h("div");
  #closer = h("button", { type: "button", "aria-label": "Close details", on: { click: () => this.close() } }, "✕");
  #control = new AbortController();

  /**
   * @param {Log} table
   * @param {Handlers} handlers
   */
  constructor(table, handlers) {
    this.#table = table;
    this.#handlers = handlers;
    const onKey = (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape") this.close();
    };
    this.element = h("aside", { class: "drawer hidden", role: "dialog", "aria-label": "Details", tabindex: -1, on: { keydown: onKey } },
      h("div", { class: "drawer-head" }, this.#title, this.#closer), this.#body);
  }

  /** @param {Row} listed a row as the page lists it */
  async open(listed) {
    this.#control.abort();
    this.#control = new AbortController();
    const { signal } = this.#control;
    this.element.classList.remove("hidden");
    this.element.scrollTop = 0;
    fill(this.#title, this.#table === "l7_flow_log" ? `${listed.method} ${listed.request_resource || listed.request_domain || listed.endpoint}` : `${listed.client} → ${listed.server}`);
    fill(this.#body, h("p", { class: "muted" }, "Loading…"));
    this.#closer.focus();
    try {
      const rows = (await query(rowStatement(this.#table, String(listed.id), Number(listed.second)), signal)).rows.map(rowOf);
      if (rows.length === 0) throw new Error("The row is no longer stored.");
      fill(this.#body, summary(this.#table, rows[0]), linksOf(this.#table, rows[0], this.#handlers.range()), facts(this.#table, rows[0]));
      await this.#addMore(rows[0], signal);
    } catch (error) {
      if (!signal.aborted) fill(this.#body, h("div", { class: "banner" }, error instanceof Error ? error.message : String(error)));
    }
  }

  close() {
    if (this.element.classList.contains("hidden")) return;
    this.#control.abort();
    this.element.classList.add("hidden");
    this.#handlers.onClose();
  }

  /**
   * Rows of the same request and the names behind the ids; the row stands without them.
   * @param {Row} found
   * @param {AbortSignal} signal
   */
  async #addMore(found, signal) {
    const [same, named, agents] = await Promise.allSettled([
      this.#table === "l7_flow_log" ? query(sameRequest(found), signal) : Promise.resolve({ rows: [] }),
      query(names(found), signal),
      getJson("v1/agents", signal),
    ]);
    if (signal.aborted) return;
    const below = this.#body.lastElementChild;
    if (same.status === "fulfilled" && same.value.rows.length > 1) below?.before(this.#sameTable(same.value.rows, found));
    const agent = agents.status === "fulfilled" ? agents.value.agents?.find((/** @type {Row} */ each) => each.agent_id === found.agent_id)?.hostname : "";
    const known = Object.entries({ ...(named.status === "fulfilled" ? named.value.rows[0] : {}), agent }).filter(([, value]) => value);
    if (known.length === 0) return;
    below?.before(h("section", {}, h("h3", {}, "Names"),
      h("dl", { class: "facts" }, known.map(([name, value]) => [h("dt", {}, name.replace("_", " ")), h("dd", {}, String(value))]).flat())));
  }

  /**
   * @param {Row[]} rows
   * @param {Row} found
   */
  #sameTable(rows, found) {
    const first = Math.min(...rows.map((row) => Number(row.start_us)));
    const list = new Table({
      label: "The same request at all points", key: (row) => String(row.id), onOpen: this.#handlers.onOpen, empty: () => null,
      columns: [
        { label: "Seen at", cell: (row) => pointBadge(row.point) },
        { label: "Source", cell: (row) => enumName("SignalSource", row.signal_source) },
        { label: "Starts", kind: "num", cell: (row) => `+${format.duration(Number(row.start_us) - first)}` },
        { label: "Takes", kind: "num", cell: (row) => format.duration(Number(row.response_duration)) },
        { label: "Status", cell: (row) => statusBadge("ResponseStatus", row.response_status) },
      ],
    });
    list.update(rows);
    list.select(String(found._id));
    return h("section", {}, h("h3", {}, "The same request at all points"), list.element);
  }
}
