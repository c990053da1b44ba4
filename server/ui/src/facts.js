// All that one row says, for people. In: a row with all columns. Out: elements by subject, values
// with their unit or name, links to related rows. Never: asks the server.

import { h } from "./dom.js";
import * as format from "./format.js";
import { columnsOf, enumName, protocolName } from "./labels.js";
import { pointBadge, protocolBadge, statusBadge } from "./parts.js";
import { href } from "./router.js";

/** @typedef {import("./api.js").Row} Row */
/** @typedef {import("./queries/logs.js").Log} Log */

/**
 * @param {Log} table
 * @param {Row} row
 */
export function summary(table, row) {
  const status = table === "l7_flow_log" ? statusBadge("ResponseStatus", row.response_status) : statusBadge("FlowStatus", row.status);
  const took = table === "l7_flow_log" ? row.response_duration : row.duration;
  return h("p", {}, status, " ", protocolBadge(row.l7_protocol), " ", pointBadge(row.observation_point), " ",
    format.dateTime(Number(row.start_time)), " · ", format.duration(Number(took)));
}

/**
 * Ways to related rows. The range is that of the page, so that the rows are inside.
 * @param {Log} table
 * @param {Row} row
 * @param {string} range
 */
export function linksOf(table, row, range) {
  /** @type {[string, string, Record<string, string>][]} */
  const links = [["Requests of this flow", "requests", { flow: String(row.flow_id) }], ["This flow in the flow log", "flows", { flow: String(row.flow_id) }]];
  if (row.trace_id) links.push(["Requests of this trace", "requests", { trace: row.trace_id }]);
  if (row.req_tcp_seq) links.push(["Same TCP sequence", "requests", { seq: String(row.req_tcp_seq) }]);
  for (const id of new Set([row.syscall_trace_id_request, row.syscall_trace_id_response])) {
    if (id && id !== "0") links.push(["Same thread of system calls", "requests", { thread: String(id) }]);
  }
  if (table === "l4_flow_log" && row.client_port) links.push(["Requests of these ports", "requests", { port: String(row.client_port) }]);
  return h("nav", { class: "links", "aria-label": "Related rows" },
    links.map(([label, page, params]) => h("a", { class: "chip", href: href(page, { range, point: "all", ...params }) }, label)));
}

/** Columns by subject; the first pattern that fits wins. */
const SUBJECTS = /** @type {[string, RegExp][]} */ ([
  ["Request", /^(request_|endpoint|version|type$|l7_protocol|is_tls|is_async|is_reversed|captured_request)/],
  ["Response", /^(response_|sql_|captured_response)/],
  ["Time", /(^|_)time$|^duration$/],
  ["Ends", /^(ip4|ip6|is_ipv4|mac|client_port|server_port|process|gprocess|protocol$|l2_end|l3_end|direction)/],
  ["Trace", /trace_id|span|syscall|x_request_id|tcp_seq|http_proxy|app_|flow_id/],
  ["Traffic", /^(packet|byte|l3_byte|l4_byte|total_|retrans|zero_win|ooo|syn|fin|l7_|tcp_flags|close_type|status|is_new|last_keep|init_ipid)/],
  ["Latency", /^(rtt|srt|art|rrt|cit|tls_rtt)/],
  ["Observed", /^(observation|signal|agent|capture|tunnel|eth_type|vlan|nat|_id)/],
]);

/**
 * All columns with a value by subject; the empty ones on request.
 * @param {Log} table
 * @param {Row} row
 */
export function facts(table, row) {
  const groups = new Map(SUBJECTS.map(([subject]) => [subject, /** @type {Node[]} */ ([])]));
  groups.set("Tags and others", []);
  /** @type {Node[]} */
  const empty = [];
  for (const { name, doc } of columnsOf(table)) {
    const value = row[name];
    const nothing = value === null || value === "" || value === 0 || value === "0" || value === "0.0.0.0" || value === "::" || (Array.isArray(value) && value.length === 0);
    const subject = SUBJECTS.find(([, pattern]) => pattern.test(name))?.[0] ?? "Tags and others";
    const pair = [h("dt", { title: doc }, name), h("dd", { title: doc }, shown(table, name, value))];
    (nothing && !ALWAYS.has(name) ? empty : groups.get(subject))?.push(...pair);
  }
  return h("div", {},
    [...groups].filter(([, pairs]) => pairs.length > 0).map(([subject, pairs]) => h("section", {}, h("h3", {}, subject), h("dl", { class: "facts" }, pairs))),
    h("section", {}, h("details", {}, h("summary", { class: "muted" }, `${empty.length / 2} columns without a value`), h("dl", { class: "facts" }, empty))));
}

/** Zero says something in these. */
const ALWAYS = new Set(["response_status", "status", "close_type", "signal_source", "type", "response_code"]);

/** Columns that hold numbers of an enumeration. */
const ENUMERATIONS = /** @type {Record<string, string>} */ ({
  signal_source: "SignalSource", type: "RecordType", response_status: "ResponseStatus", close_type: "CloseType", status: "FlowStatus",
  tunnel_type: "TunnelType", auto_instance_type_0: "AutoInstanceType", auto_instance_type_1: "AutoInstanceType",
  auto_service_type_0: "AutoInstanceType", auto_service_type_1: "AutoInstanceType",
});

/**
 * A value with its name or unit beside it.
 * @param {Log} table
 * @param {string} name
 * @param {any} value
 */
function shown(table, name, value) {
  if (value === null) return "–";
  const doc = columnsOf(table).find((column) => column.name === name)?.doc ?? "";
  if (name === "l7_protocol") return `${value} · ${protocolName(value)}`;
  if (name === "protocol") return `${value} · ${format.ipProtocol(Number(value))}`;
  if (name in ENUMERATIONS) return `${value} · ${enumName(ENUMERATIONS[name], value)}`;
  if (name === "time") return format.dateTime(Number(value) * 1e6).slice(0, 19);
  if (/_time$/.test(name)) return format.dateTime(Number(value));
  if (/^(mac_|tunnel_.x_mac)/.test(name)) return format.mac(value);
  if (name.startsWith("tcp_flags")) return `${value} · ${format.tcpFlags(Number(value))}`;
  if (doc.includes("unit µs")) return `${value} µs · ${format.duration(Number(value))}`;
  if (doc.includes("unit byte") && Number(value) >= 1024) return `${value} · ${format.bytes(Number(value))}`;
  return Array.isArray(value) ? JSON.stringify(value) : String(value);
}
