// The service map: who calls whom, how often, with how many errors, how fast. What is selected is
// listed below from the request log.

import { query } from "../api.js";
import { fill, h } from "../dom.js";
import { createFilterbar } from "../filterbar.js";
import { POINT_FILTER, REQUEST_FILTERS } from "../filters.js";
import * as format from "../format.js";
import { EDGE_ARROW, failedShare, graphOf } from "../map/graph.js";
import { layout } from "../map/layout.js";
import { Renderer } from "../map/render.js";
import { emptyState, noDataYet, protocolBadge } from "../parts.js";
import { page as pageStatement } from "../queries/logs.js";
import { calls } from "../queries/metrics.js";
import { ONCE } from "../queries/parts.js";
import { spanSeconds } from "../summary.js";
import { Table } from "../table.js";
import { REQUEST_COLUMNS } from "./requests.js";

/** @typedef {import("../map/render.js").Selection} Selection */
/** @typedef {ReturnType<typeof graphOf>} Graph */

const PROTOCOL_FILTER = REQUEST_FILTERS.filter(({ name }) => name === "protocol");
const LISTED_ROWS = 20;

class MapPage {
  #frame;
  #filters;
  #renderer = new Renderer((what) => this.#select(what));
  #nothing = h("div", { class: "hidden" });
  #key = h("span", { class: "map-key" });
  #canvas;
  #head = h("div", { class: "panel-head" });
  #hint = emptyState("Nothing selected", "Select a node to see the requests it serves, or an edge to see the requests between two nodes.");
  #list;
  /** @type {Selection | null} */
  #selected = null;
  /** @type {Graph} */
  #graph = { nodes: [], edges: [], left: 0 };

  /** @param {import("../page.js").Frame} frame */
  constructor(frame) {
    this.#frame = frame;
    this.#filters = createFilterbar([POINT_FILTER, ...PROTOCOL_FILTER], frame);
    const tool = (/** @type {string} */ label, /** @type {string} */ sign, /** @type {() => void} */ click) =>
      h("button", { type: "button", "aria-label": label, title: label, on: { click } }, sign);
    this.#canvas = h("div", { class: "map-frame" }, this.#renderer.element, this.#key, h("div", { class: "map-tools" },
      tool("Zoom in", "+", () => this.#renderer.zoomIn()), tool("Zoom out", "−", () => this.#renderer.zoomOut()), tool("Show all", "⤢", () => this.#renderer.fit())));
    this.#list = new Table({ label: "Requests of the selection", columns: REQUEST_COLUMNS, key: (row) => String(row.id), empty: noDataYet, onOpen: () => this.#openLog({}) });
    this.element = h("div", { class: "page" },
      h("div", { class: "page-head" }, h("h1", {}, "Service map"), h("span", { class: "grow" }), this.#filters.element),
      h("section", { class: "panel", "aria-label": "Map" }, this.#canvas, this.#nothing),
      h("section", { class: "panel", "aria-label": "Selection" }, this.#head, this.#hint, this.#list.element));
  }

  /** @param {import("../page.js").View} view */
  async refresh({ span, params, signal }) {
    this.#filters.show(params);
    const point = params.point || ONCE;
    const protocol = /^\d+$/.test(params.protocol ?? "") ? params.protocol : "";
    this.#selected = selectionOf(params.selected);
    const { rows } = await query(calls(span, point, protocol), signal);
    this.#graph = graphOf(rows);
    this.#canvas.classList.toggle("hidden", rows.length === 0);
    this.#nothing.classList.toggle("hidden", rows.length > 0);
    if (rows.length === 0) fill(this.#nothing, noDataYet());
    const { nodes, edges, left } = this.#graph;
    this.#renderer.draw(this.#graph, layout(nodes.map(({ id }) => id), edges), spanSeconds(span), this.#selected);
    this.#key.textContent = left > 0 ? `${left} least busy edges are not drawn` : "rate · errors · mean response time";
    this.#hint.classList.toggle("hidden", this.#selected !== null);
    this.#list.element.classList.toggle("hidden", this.#selected === null);
    this.#showHead(point);
    if (!this.#selected) return null;
    const filter = { point, ...this.#requestParams(), ...(protocol ? { protocol } : {}) };
    this.#list.update((await query(pageStatement("l7_flow_log", span, filter, { key: "time", descending: true }, null, LISTED_ROWS), signal)).rows);
    return null;
  }

  close() {}

  /** A second click on the same lets it go. @param {Selection} what */
  #select(what) {
    const same = this.#selected?.kind === what.kind && this.#selected.id === what.id;
    this.#frame.set({ selected: same ? undefined : `${what.kind}:${what.id}` });
  }

  /** @param {Record<string, string>} more */
  #openLog(more) {
    this.#frame.go("requests", { ...this.#requestParams(), ...more });
  }

  /** @param {string} point */
  #showHead(point) {
    const selected = this.#selected;
    if (!selected) {
      fill(this.#head, h("h2", {}, "Requests"));
      return;
    }
    const edge = this.#graph.edges.find(({ id }) => selected.kind === "edge" && id === selected.id);
    const node = this.#graph.nodes.find(({ id }) => selected.kind === "node" && id === selected.id);
    const counts = edge?.counts ?? (this.#onlyCalls(selected.id) ? node?.outgoing : node?.incoming);
    fill(this.#head, h("h2", {}, selected.id), (edge ?? node)?.protocols.map(protocolBadge) ?? [],
      h("span", { class: "note" }, counts ? `${format.count(counts.requests)} requests, ${format.percent(failedShare(counts))} failed; the newest ${LISTED_ROWS}:` : "not in this range"),
      h("span", { class: "grow" }),
      h("button", { type: "button", on: { click: () => this.#openLog(point === ONCE ? {} : { point }) } }, "Open in the request log"),
      h("button", { type: "button", on: { click: () => this.#frame.set({ selected: undefined }) } }, "Clear"));
  }

  /**
   * The request log's filters of what is selected.
   * @returns {Record<string, string>}
   */
  #requestParams() {
    const { kind, id } = this.#selected ?? { kind: "node", id: "" };
    if (kind === "node") return this.#onlyCalls(id) ? { client: `=${id}` } : { server: `=${id}` };
    const [client, server] = id.split(EDGE_ARROW, 2);
    return { client: `=${client}`, server: `=${server}` };
  }

  /** @param {string} id */
  #onlyCalls(id) {
    return this.#graph.nodes.some((node) => node.id === id && node.incoming.requests === 0);
  }
}

/** @type {import("../page.js").PageFactory} */
export function createMap(frame) {
  return new MapPage(frame);
}

/**
 * @param {string | undefined} text "node:nginx" or "edge:curl → nginx"
 * @returns {Selection | null}
 */
function selectionOf(text) {
  const match = /^(node|edge):(.+)$/s.exec(text ?? "");
  return match ? { kind: /** @type {"node" | "edge"} */ (match[1]), id: match[2] } : null;
}
