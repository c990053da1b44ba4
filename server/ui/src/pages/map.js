// The service map: who calls whom, how often, with how many errors, how fast. What is selected is
// listed below from the request log.

import { query } from "../api.js";
import { fill, h } from "../dom.js";
import { createFilterbar } from "../filterbar.js";
import { POINT_FILTER, REQUEST_FILTERS } from "../filters.js";
import * as format from "../format.js";
import { failedShare, graphOf } from "../map/graph.js";
import { layout } from "../map/layout.js";
import { createRenderer } from "../map/render.js";
import { emptyState, noDataYet, protocolBadge } from "../parts.js";
import { page as pageStatement } from "../queries/logs.js";
import { calls } from "../queries/metrics.js";
import { ONCE } from "../queries/parts.js";
import { spanSeconds } from "../summary.js";
import { createTable } from "../table.js";
import { REQUEST_COLUMNS } from "./requests.js";

const PROTOCOL_FILTER = REQUEST_FILTERS.filter(({ name }) => name === "protocol");
const LISTED_ROWS = 20;

/** @type {import("../page.js").PageFactory} */
export function createMap(frame) {
  const filters = createFilterbar([POINT_FILTER, ...PROTOCOL_FILTER], frame);
  const renderer = createRenderer(({ kind, id }) => {
    const value = `${kind}:${id}`;
    frame.set({ selected: value === chosen ? undefined : value });
  });
  const nothing = h("div", { class: "hidden" });
  const left = h("span", { class: "map-key" });
  const tool = (/** @type {string} */ label, /** @type {string} */ sign, /** @type {() => void} */ click) => h("button", { type: "button", "aria-label": label, title: label, on: { click } }, sign);
  const canvas = h("div", { class: "map-frame" }, renderer.element, left,
    h("div", { class: "map-tools" }, tool("Zoom in", "+", renderer.zoomIn), tool("Zoom out", "−", renderer.zoomOut), tool("Show all", "⤢", renderer.fit)));
  const list = createTable({ label: "Requests of the selection", columns: REQUEST_COLUMNS, key: (row) => row.id, empty: noDataYet, onOpen: () => frame.go("requests", requestParams(chosen)) });
  const head = h("div", { class: "panel-head" });
  const hint = emptyState("Nothing selected", "Select a node to see the requests it serves, or an edge to see the requests between two nodes.");
  const details = h("section", { class: "panel", "aria-label": "Selection" }, head, hint, list.element);
  let chosen = "";
  /** @type {Set<string>} nodes that only call, and serve nothing */
  let callers = new Set();

  /**
   * The request log's filters of a selection.
   * @param {string} value
   * @returns {Record<string, string>}
   */
  function requestParams(value) {
    const id = value.slice(5);
    if (!value.startsWith("edge:")) return callers.has(id) ? { client: `=${id}` } : { server: `=${id}` };
    const [client, server] = id.split(" → ", 2);
    return { client: `=${client}`, server: `=${server}` };
  }

  return {
    element: h("div", { class: "page" },
      h("div", { class: "page-head" }, h("h1", {}, "Service map"), h("span", { class: "grow" }), filters.element),
      h("section", { class: "panel", "aria-label": "Map" }, canvas, nothing), details),

    async refresh({ span, params, signal }) {
      filters.show(params);
      const point = params.point || ONCE;
      chosen = params.selected ?? "";
      const { rows } = await query(calls(span, point, /^\d+$/.test(params.protocol ?? "") ? params.protocol : ""), signal);
      const graph = graphOf(rows);
      callers = new Set(graph.nodes.filter(({ incoming }) => incoming.requests === 0).map(({ id }) => id));
      canvas.classList.toggle("hidden", rows.length === 0);
      nothing.classList.toggle("hidden", rows.length > 0);
      if (rows.length === 0) fill(nothing, noDataYet());
      const selected = /^(node|edge):/.test(chosen) ? { kind: /** @type {"node" | "edge"} */ (chosen.slice(0, 4)), id: chosen.slice(5) } : null;
      renderer.draw(graph, layout(graph.nodes.map(({ id }) => id), graph.edges), spanSeconds(span), selected);
      left.textContent = graph.left > 0 ? `${graph.left} least busy edges are not drawn` : "rate · errors · mean response time";

      hint.classList.toggle("hidden", selected !== null);
      list.element.classList.toggle("hidden", selected === null);
      if (!selected) {
        fill(head, h("h2", {}, "Requests"));
        return null;
      }
      const filter = { point, ...requestParams(chosen), ...(params.protocol ? { protocol: params.protocol } : {}) };
      const found = await query(pageStatement("l7_flow_log", span, filter, { key: "time", descending: true }, null, LISTED_ROWS), signal);
      const about = selected.kind === "edge" ? graph.edges.find(({ id }) => id === selected.id) : graph.nodes.find(({ id }) => id === selected.id);
      const counts = about ? ("counts" in about ? about.counts : callers.has(about.id) ? about.outgoing : about.incoming) : null;
      fill(head, h("h2", {}, selected.id), (about?.protocols ?? []).map(protocolBadge),
        h("span", { class: "note" }, counts ? `${format.count(counts.requests)} requests, ${format.percent(failedShare(counts))} failed; the newest ${LISTED_ROWS}:` : "not in this range"),
        h("span", { class: "grow" }),
        h("button", { type: "button", on: { click: () => frame.go("requests", { ...requestParams(chosen), ...(point === ONCE ? {} : { point }) }) } }, "Open in the request log"),
        h("button", { type: "button", on: { click: () => frame.set({ selected: undefined }) } }, "Clear"));
      list.update(found.rows);
      return null;
    },

    close() {},
  };
}
