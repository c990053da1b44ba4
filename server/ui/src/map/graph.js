// The graph of a map. In: rows of the calls statement. Out: nodes and edges with sums. Pure.

import { meanUs, totals } from "../summary.js";

/** @typedef {import("../api.js").Row} Row */
/** @typedef {import("../summary.js").Counts} Counts */
/** @typedef {{ id: string, process: boolean, protocols: number[], ports: number[], incoming: Counts, outgoing: Counts }} MapNode */
/** @typedef {{ id: string, from: string, to: string, protocols: number[], counts: Counts, meanUs: number | null }} MapEdge */

/** Between client and server in an edge's id. */
export const EDGE_ARROW = " → ";

/** Edges that a map shows at most; the least busy are left out. */
const MAX_EDGES = 120;

/**
 * @param {Row[]} rows busiest first
 * @returns {{ nodes: MapNode[], edges: MapEdge[], left: number }}
 */
export function graphOf(rows) {
  /** @type {Map<string, Row[]>} */
  const pairs = new Map();
  for (const row of rows) {
    const key = JSON.stringify([row.client, row.server]);
    pairs.set(key, [...(pairs.get(key) ?? []), row]);
  }
  const kept = [...pairs.values()].slice(0, MAX_EDGES);
  const edges = kept.map((same) => {
    const counts = totals(same);
    return { id: `${same[0].client}${EDGE_ARROW}${same[0].server}`, from: String(same[0].client), to: String(same[0].server), protocols: distinct(same, "protocol"), counts, meanUs: meanUs(counts) };
  });
  const ids = [...new Set(edges.flatMap(({ from, to }) => [from, to]))].sort();
  const flat = kept.flat();
  const nodes = ids.map((id) => {
    const incoming = flat.filter((row) => row.server === id);
    const outgoing = flat.filter((row) => row.client === id);
    return {
      id, protocols: distinct(incoming, "protocol"), ports: distinct(incoming, "port"),
      process: incoming.some((row) => Number(row.server_is_process) === 1) || outgoing.some((row) => Number(row.client_is_process) === 1),
      incoming: totals(incoming), outgoing: totals(outgoing),
    };
  });
  return { nodes, edges, left: pairs.size - kept.length };
}

/** Share of requests that failed. @param {Counts} counts */
export function failedShare(counts) {
  return counts.requests > 0 ? (counts.errors + counts.timeouts) / counts.requests : 0;
}

/**
 * @param {Row[]} rows
 * @param {"protocol" | "port"} name
 * @returns {number[]}
 */
function distinct(rows, name) {
  return [...new Set(rows.map((row) => Number(name === "protocol" ? row.app_protocol : row.port)))].filter((each) => each > 0).sort((left, right) => left - right);
}
