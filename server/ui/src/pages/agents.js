// Agents and server: who reports, what each sees, stores and drops and why, and what does not work.

import { ApiError, getJson, query } from "../api.js";
import { Chart } from "../chart.js";
import { fill, h } from "../dom.js";
import * as format from "../format.js";
import { drop, metric } from "../labels.js";
import { emptyState, panel, tile } from "../parts.js";
import { telemetry } from "../queries/agents.js";
import { buckets, elapsedSeconds } from "../range.js";
import { Table } from "../table.js";
import { balance, byTag, ratesOf, sample, sumOf } from "../telemetry.js";

/** @typedef {import("../api.js").Row} Row */

class AgentsPage {
  #alerts = h("div", { class: "page" });
  #tiles = h("div", { class: "tiles" });
  #charts;
  #list;
  #identity = h("div");
  #tables = new Table({ label: "Rows by table", columns: TABLE_COLUMNS, key: (row) => row.table, empty: () => emptyState("No rows reported yet", "The agent reports its counters every few seconds.") });
  #drops = new Table({ label: "Losses", columns: DROP_COLUMNS, key: (row) => row.reason, empty: () => emptyState("No loss reported", "Nothing was dropped, or the agent has not reported yet.") });
  #counters = new Table({ label: "All counters of the agent", columns: COUNTER_COLUMNS, key: (row) => row.name, empty: () => emptyState("No counters reported yet") });
  #serverCounters = new Table({ label: "All counters of the server", columns: COUNTER_COLUMNS, key: (row) => row.name, empty: () => emptyState("No counters reported yet") });
  #about = h("dl", { class: "facts" });

  /** @param {import("../page.js").Frame} frame */
  constructor(frame) {
    const chart = (/** @type {string} */ label, /** @type {(value: number | null | undefined) => string} */ format, binary = false) =>
      new Chart({ label, format, binary, empty: "no telemetry in this range", onZoom: frame.zoom });
    this.#charts = { cpu: chart("CPU of agents in percent of one core", format.percent), memory: chart("Memory of agents", format.bytes, true), seen: chart("Packets and system call events per second", format.rate) };
    this.#list = new Table({ label: "Agents", columns: AGENT_COLUMNS, key: (row) => String(row.agent_id), onOpen: (row) => frame.set({ agent: String(row.agent_id) }), empty: noAgents });
    this.element = h("div", { class: "page" },
      h("div", { class: "page-head" }, h("h1", {}, "Agents and server")), this.#alerts, this.#tiles,
      panel("Agents", { note: "select one for its counters" }, this.#list.element),
      h("div", { class: "columns" }, panel("CPU", { note: "of one core" }, this.#charts.cpu.element), panel("Memory", { note: "resident" }, this.#charts.memory.element), panel("Observed", { note: "packets and system call events" }, this.#charts.seen.element)),
      h("div", { class: "split" },
        h("div", { class: "page" },
          panel("Conservation of rows", { note: "observed = stored + waiting + dropped" }, this.#identity, this.#tables.element),
          panel("Counters of the agent", {}, this.#counters.element)),
        h("div", { class: "page" },
          panel("Losses by reason", { note: "every way in which data can be lost" }, this.#drops.element),
          panel("Server", {}, this.#about, this.#serverCounters.element))));
  }

  /** @param {import("../page.js").View} view */
  async refresh({ span, params, signal }) {
    const [listed, health, measured] = await Promise.all([getJson("v1/agents", signal), getJson("v1/health", signal), this.#telemetry(span, signal)]);
    const reports = new Map((health.agents ?? []).map((/** @type {Row} */ agent) => [agent.agent_id, agent]));
    /** @type {Row[]} */
    const agents = (listed.agents ?? []).map((/** @type {Row} */ agent) => ({ ...agent, report: reports.get(agent.agent_id), now: span.now }));
    const chosen = agents.find((agent) => String(agent.agent_id) === params.agent) ?? agents[0];
    this.#list.update(agents);
    this.#list.select(chosen ? String(chosen.agent_id) : "");
    const metrics = chosen?.report?.metrics ?? {};
    const lost = chosen?.report?.drops ?? [];
    const sum = balance(metrics, lost);
    fill(this.#alerts, alertsOf(agents, health.server));
    fill(this.#tiles, tilesOf(agents, health.server, sum));
    fill(this.#identity, identityOf(chosen, sum));
    this.#tables.update(tablesOf(metrics, health.server?.metrics ?? {}));
    this.#drops.update([...lost].sort((left, right) => Number(right.count) - Number(left.count)));
    this.#counters.update(countersOf(metrics));
    this.#serverCounters.update(countersOf(health.server?.metrics ?? {}));
    fill(this.#about, factsOf(health.server));
    this.#drawCharts(measured, span, new Map(agents.map((agent) => [Number(agent.agent_id), String(agent.hostname)])));
    const newest = Math.max(0, ...agents.map((agent) => Number(agent.report?.reported_us ?? agent.last_seen_us ?? 0) / 1e6));
    return newest > 0 ? newest : null;
  }

  close() {
    for (const chart of Object.values(this.#charts)) chart.destroy();
  }

  /**
   * The history of the counters; while the store is not there the rest of the page still is.
   * @param {import("../range.js").Span} span
   * @param {AbortSignal} signal
   * @returns {Promise<Row[]>}
   */
  async #telemetry(span, signal) {
    try {
      return (await query(telemetry(span), signal)).rows;
    } catch (error) {
      if (signal.aborted || !(error instanceof ApiError)) throw error;
      return [];
    }
  }

  /**
   * @param {Row[]} rows
   * @param {import("../range.js").Span} span
   * @param {Map<number, string>} names host by agent
   */
  #drawCharts(rows, span, names) {
    const times = buckets(span).filter((start) => elapsedSeconds(span, start) > 0);
    const ids = [...new Set(rows.map((row) => Number(row.agent_id)))].sort((left, right) => left - right);
    /** @param {string} column @param {number} id @returns {(number | null)[]} */
    const values = (column, id) => {
      const known = new Map(rows.filter((row) => Number(row.agent_id) === id).map((row) => [Number(row.bucket), Number(row[column])]));
      return times.map((start) => known.get(start) ?? null);
    };
    const name = (/** @type {number} */ id) => names.get(id) || `agent ${id}`;
    this.#charts.cpu.update(times, ids.map((id) => ({ label: name(id), values: ratesOf(values("cpu_ms", id), span.step).map((each) => (each === null ? null : each / 1000)) })));
    this.#charts.memory.update(times, ids.map((id) => ({ label: name(id), values: values("rss_bytes", id) })));
    this.#charts.seen.update(times, ids.flatMap((id) => [
      { label: `${name(id)}: packets`, values: ratesOf(values("packets", id), span.step) },
      { label: `${name(id)}: events`, values: ratesOf(values("events", id), span.step) },
    ]));
  }
}

/** @type {import("../page.js").PageFactory} */
export function createAgents(frame) {
  return new AgentsPage(frame);
}

function noAgents() {
  return emptyState("No agent has enrolled", "Start one on each host: ", h("code", {}, "deepflow-agent run"), " with the server's address and its enrolment token.");
}

/**
 * What a person should look at: engine not ready, agents gone, things that do not work.
 * @param {Row[]} agents
 * @param {Row | undefined} server
 */
function alertsOf(agents, server) {
  const out = [];
  if (server?.engine && server.engine.state !== "ready") out.push(["", `The storage engine is ${server.engine.state}. ${server.engine.detail || ""}`]);
  for (const agent of agents) {
    if (agent.state !== "connected") out.push(["", `The agent on ${agent.hostname} is disconnected since ${format.age(agent.now - Number(agent.last_seen_us) / 1e6)}. It keeps its data on disk and sends it when it is back.`]);
    for (const problem of agent.report?.problems ?? []) out.push(["caution", `${agent.hostname}: ${problem}`]);
  }
  return out.map(([tone, text]) => h("div", { class: `banner ${tone}`, role: "status" }, text));
}

/**
 * @param {Row[]} agents
 * @param {Row | undefined} server
 * @param {import("../telemetry.js").Balance} sum
 */
function tilesOf(agents, server, sum) {
  const connected = agents.filter(({ state }) => state === "connected").length;
  return [
    tile("Agents connected", `${connected} of ${agents.length}`, "", connected < agents.length ? "warn" : ""),
    tile("Storage engine", server?.engine?.state ?? "–", `${server?.engine?.kind ?? ""}, ${format.count(Number(server?.engine?.restarts ?? 0))} restarts`, server?.engine?.state === "ready" ? "" : "bad"),
    tile("Rows observed", format.count(sum.observed), "handed to export"),
    tile("Rows stored", format.count(sum.stored), "acknowledged as durable"),
    tile("Rows waiting", format.count(sum.waiting), "in memory or spool"),
    tile("Rows dropped", format.count(sum.dropped), "each with a reason", sum.dropped > 0 ? "warn" : ""),
  ];
}

/**
 * @param {Row | undefined} agent
 * @param {import("../telemetry.js").Balance} sum
 */
function identityOf(agent, sum) {
  if (!agent?.report) return null;
  const holds = sum.missing === 0;
  return h("p", { title: "Rows handed to export, rows the server made durable, rows in memory or spool, rows dropped with a reason." },
    h("strong", {}, agent.hostname), ": ", h("span", { class: "mono" }, `${format.count(sum.observed)} = ${format.count(sum.stored)} + ${format.count(sum.waiting)} + ${format.count(sum.dropped)}`), " ",
    holds ? h("span", { class: "badge ok" }, "holds") : h("span", { class: "badge warn" }, `${format.count(Math.abs(sum.missing))} ${sum.missing > 0 ? "on their way" : "counted since"}`));
}

/**
 * @param {Record<string, number>} agent
 * @param {Record<string, number>} server
 * @returns {Row[]}
 */
function tablesOf(agent, server) {
  const observed = byTag(agent, "agent_rows_observed_total", "table");
  const acknowledged = byTag(agent, "agent_rows_acknowledged_total", "table");
  const stored = byTag(server, "server_rows_stored_total", "table");
  return [...new Set([...observed.keys(), ...stored.keys()])].sort().map((table) => ({
    table: table || "all", observed: observed.get(table) ?? null, acknowledged: acknowledged.get(table) ?? null, stored: stored.get(table) ?? null,
  }));
}

/**
 * @param {Record<string, number>} metrics
 * @returns {Row[]}
 */
function countersOf(metrics) {
  return Object.entries(metrics).map(([name, value]) => ({ name, value: Number(value), about: metric(name.split("{")[0]) })).sort((left, right) => (left.name < right.name ? -1 : 1));
}

/** @param {Row | undefined} server */
function factsOf(server) {
  if (!server) return null;
  const facts = [["version", server.version], ["started", format.dateTime(Number(server.started_us)).slice(0, 19)], ["engine", `${server.engine?.kind} ${server.engine?.state} ${server.engine?.detail ?? ""}`]];
  return facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]).flat();
}

/** A metric's name, its tags after it. @param {string} key */
function counterName(key) {
  const { name, tags } = sample(key, 0);
  return h("span", { class: "mono" }, name, " ", h("span", { class: "muted" }, Object.values(tags).join(" ")));
}

/** @param {Row} row @param {string} name */
function reported(row, name) {
  return sumOf(row.report?.metrics ?? {}, name);
}

/** @type {import("../table.js").Column[]} */
const AGENT_COLUMNS = [
  { label: "Host", cell: (row) => h("strong", {}, row.hostname) },
  { label: "State", cell: (row) => h("span", { class: `badge ${row.state === "connected" ? "ok" : "bad"}` }, row.state) },
  { label: "Version", cell: (row) => row.version },
  { label: "System", kind: "clip", cell: (row) => `${row.os ?? ""} · ${row.kernel ?? ""} · ${row.arch ?? ""}`, title: (row) => `${row.os} ${row.kernel} ${row.arch}, ${row.cpu_count} CPUs, ${format.bytes(Number(row.memory_bytes))}` },
  { label: "Addresses", kind: "clip", cell: (row) => (row.addresses ?? []).join(", "), title: (row) => (row.addresses ?? []).join(", ") },
  { label: "Memory", kind: "num", cell: (row) => format.bytes(reported(row, "agent_memory_rss_bytes")) },
  { label: "Packets", kind: "num", cell: (row) => format.count(reported(row, "agent_packets_total")) },
  { label: "System calls", kind: "num", cell: (row) => format.count(reported(row, "agent_socket_events_total")) },
  { label: "Flows", kind: "num", cell: (row) => format.count(reported(row, "agent_flows")) },
  { label: "Dropped rows", kind: "num", cell: (row) => format.count(balance(row.report?.metrics ?? {}, row.report?.drops ?? []).dropped) },
  { label: "Problems", kind: "num", cell: (row) => format.count((row.report?.problems ?? []).length) },
  { label: "Last report", kind: "num", cell: (row) => (row.report?.reported_us || row.last_seen_us ? format.age(Math.max(0, row.now - Number(row.report?.reported_us || row.last_seen_us) / 1e6)) : "never") },
];

/** @type {import("../table.js").Column[]} */
const TABLE_COLUMNS = [
  { label: "Table", cell: (row) => h("span", { class: "mono" }, row.table) },
  { label: "Observed", kind: "num", cell: (row) => format.count(row.observed), doc: "by this agent, since it started" },
  { label: "Acknowledged", kind: "num", cell: (row) => format.count(row.acknowledged), doc: "made durable by the server" },
  { label: "Stored", kind: "num", cell: (row) => format.count(row.stored), doc: "by the server from all agents, since it started" },
];

/** @type {import("../table.js").Column[]} */
const DROP_COLUMNS = [
  { label: "Reason", cell: (row) => h("span", { class: "mono" }, row.reason) },
  { label: "Stage", cell: (row) => row.stage },
  { label: "Count", kind: "num", cell: (row) => h("span", { class: Number(row.count) > 0 ? "warn" : "muted" }, format.count(Number(row.count))) },
  { label: "Unit", cell: (row) => row.unit },
  { label: "Meaning", kind: "wide", cell: (row) => row.doc || drop(row.reason)?.doc, title: (row) => row.doc || drop(row.reason)?.doc },
];

/** @type {import("../table.js").Column[]} */
const COUNTER_COLUMNS = [
  { label: "Counter", cell: (row) => counterName(row.name), title: (row) => row.about?.doc ?? "" },
  { label: "Value", kind: "num", cell: (row) => (row.about?.unit === "byte" ? format.bytes(row.value) : format.count(row.value)), title: (row) => String(row.value) },
  { label: "Meaning", kind: "wide", cell: (row) => row.about?.doc ?? "", title: (row) => row.about?.doc ?? "" },
];
