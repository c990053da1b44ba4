// The request log: one row for each request at each point that saw it.

import { h } from "../dom.js";
import { REQUEST_FILTERS } from "../filters.js";
import * as format from "../format.js";
import { enumDoc, enumName } from "../labels.js";
import { noDataYet, pointBadge, protocolBadge, statusBadge } from "../parts.js";
import { LogPage } from "./log.js";

/** @typedef {import("../api.js").Row} Row */

/** @type {import("../page.js").PageFactory} */
export function createRequests(frame) {
  return new LogPage(frame, {
    table: "l7_flow_log", title: "Request log", filters: REQUEST_FILTERS, columns: REQUEST_COLUMNS, statuses: "ResponseStatus", empty: noDataYet,
  });
}

/**
 * An end with its name first and its address after.
 * @param {string} process
 * @param {string} ip
 * @param {number} port
 */
export function endCell(process, ip, port) {
  const address = format.address(ip, port);
  return process ? [h("strong", {}, process), " ", h("span", { class: "muted" }, address)] : address;
}

/** @type {import("../table.js").Column[]} */
export const REQUEST_COLUMNS = [
  { label: "Time", sort: "time", cell: (row) => h("span", { class: "mono" }, format.timeOfDay(Number(row.start_us))), title: (row) => format.dateTime(Number(row.start_us)) },
  { label: "Seen at", cell: (row) => pointBadge(row.point), title: (row) => `${enumName("SignalSource", row.signal_source)}: ${enumDoc("SignalSource", row.signal_source)}` },
  { label: "Protocol", sort: "protocol", cell: (row) => protocolBadge(row.l7_protocol) },
  { label: "Client", sort: "client", kind: "clip", cell: (row) => endCell(row.client_process, row.client_ip, row.client_port), title: (row) => endTitle(row, 0) },
  { label: "Server", sort: "server", kind: "clip", cell: (row) => endCell(row.server_process, row.server_ip, row.server_port), title: (row) => endTitle(row, 1) },
  { label: "Request", sort: "request", kind: "wide", cell: requestCell, title: (row) => `${row.method} ${row.request_domain} ${row.request_resource} ${row.response_exception}` },
  { label: "Status", sort: "status", cell: (row) => statusBadge("ResponseStatus", row.response_status) },
  { label: "Code", sort: "code", kind: "num", cell: (row) => (row.response_code === null ? "–" : String(row.response_code)) },
  { label: "Time taken", sort: "duration", kind: "num", cell: (row) => (Number(row.response_duration) > 0 ? format.duration(Number(row.response_duration)) : "–") },
  { label: "Response", sort: "bytes", kind: "num", cell: (row) => (row.response_length === null ? "–" : format.bytes(Number(row.response_length))), doc: "length of the response by its protocol" },
];

/** @param {Row} row */
function requestCell(row) {
  const domain = row.request_domain && row.request_domain !== row.request_resource ? h("span", { class: "muted" }, row.request_domain, " ") : null;
  const resource = row.request_resource || row.endpoint;
  const named = resource.startsWith(row.method);
  return h("span", { class: "mono" }, named ? null : h("strong", {}, row.method, " "), domain, resource,
    row.response_exception ? h("span", { class: "bad" }, ` ${row.response_exception}`) : null);
}

/**
 * @param {Row} row
 * @param {0 | 1} side
 */
function endTitle(row, side) {
  const [name, ip, port] = side === 0 ? [row.client_process, row.client_ip, row.client_port] : [row.server_process, row.server_ip, row.server_port];
  const pid = Number(row[`process_id_${side}`]);
  return `${name || "process not on this host"}${pid ? ` (pid ${pid})` : ""} at ${format.address(ip, port)}`;
}
