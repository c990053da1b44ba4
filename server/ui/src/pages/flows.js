// The flow log: one row for each TCP or UDP flow and minute at each point that saw it.

import { h } from "../dom.js";
import { FLOW_FILTERS } from "../filters.js";
import * as format from "../format.js";
import { enumDoc, enumName, protocolName } from "../labels.js";
import { emptyState, pointBadge, statusTone } from "../parts.js";
import { LogPage } from "./log.js";
import { endCell } from "./requests.js";

/** @type {import("../page.js").PageFactory} */
export function createFlows(frame) {
  return new LogPage(frame, {
    table: "l4_flow_log", title: "Flow log", filters: FLOW_FILTERS, columns: COLUMNS, statuses: "FlowStatus",
    empty: () => emptyState("No flows in this time range", "A flow is logged when it ends, or each minute while it lives. Open a connection, wait for its end, or choose a longer range."),
  });
}

/**
 * A mean of sum and samples.
 * @param {any} sum
 * @param {any} samples
 */
function mean(sum, samples) {
  return Number(samples) > 0 ? format.duration(Number(sum) / Number(samples)) : "–";
}

/** @type {import("../table.js").Column[]} */
const COLUMNS = [
  { label: "Time", sort: "time", cell: (row) => h("span", { class: "mono" }, format.timeOfDay(Number(row.start_us))), title: (row) => format.dateTime(Number(row.start_us)) },
  { label: "Seen at", cell: (row) => pointBadge(row.point) },
  { label: "Protocol", sort: "protocol", cell: (row) => h("span", {}, format.ipProtocol(Number(row.protocol)), " ", Number(row.l7_protocol) ? h("span", { class: "badge protocol" }, protocolName(row.l7_protocol)) : null) },
  { label: "Client", sort: "client", kind: "clip", cell: (row) => endCell(row.client_process, row.client_ip, row.client_port), title: (row) => `${row.client_process} ${format.address(row.client_ip, row.client_port)}` },
  { label: "Server", sort: "server", kind: "clip", cell: (row) => endCell(row.server_process, row.server_ip, row.server_port), title: (row) => `${row.server_process} ${format.address(row.server_ip, row.server_port)}` },
  { label: "Age", sort: "duration", kind: "num", cell: (row) => format.duration(Number(row.duration)), doc: "age of the flow at the end of the period" },
  { label: "Sent / received", sort: "bytes", kind: "num", cell: (row) => `${format.bytes(Number(row.byte_tx))} / ${format.bytes(Number(row.byte_rx))}`, title: (row) => `${format.count(Number(row.packet_tx))} packets from the client, ${format.count(Number(row.packet_rx))} from the server` },
  { label: "Packets", sort: "packets", kind: "num", cell: (row) => format.count(Number(row.packet_tx) + Number(row.packet_rx)) },
  { label: "Handshake", sort: "rtt", kind: "num", cell: (row) => (Number(row.rtt) > 0 ? format.duration(Number(row.rtt)) : "–"), doc: "round trip of the TCP handshake" },
  { label: "System", kind: "num", cell: (row) => mean(row.srt_sum, row.srt_count), doc: "mean time until the system acknowledges" },
  { label: "Data", kind: "num", cell: (row) => mean(row.art_sum, row.art_count), doc: "mean time until the server sends data" },
  { label: "Sent again", sort: "retrans", kind: "num", cell: (row) => { const again = Number(row.retrans_tx) + Number(row.retrans_rx); return h("span", { class: again > 0 ? "warn" : "muted" }, format.count(again)); }, doc: "retransmissions of both sides" },
  { label: "Requests", kind: "num", cell: (row) => format.count(Number(row.l7_request)) },
  { label: "Ended by", sort: "close", cell: (row) => h("span", { class: `badge ${statusTone(row.status)}` }, enumName("CloseType", row.close_type)), title: (row) => `${enumName("FlowStatus", row.status)}: ${enumDoc("CloseType", row.close_type)}` },
];
