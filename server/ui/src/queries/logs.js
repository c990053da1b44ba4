// Statements of the request log and the flow log. In: span, filters, order, cursor. Out: SELECTs.
// Pages are cut by key (order value, row id), so that rows that come in meanwhile shift nothing.

import { ERRORS, parseDuration } from "../filters.js";
import { columnsOf } from "../labels.js";
import { all, column, join, sql } from "../sql.js";
import { ERROR_STATUSES, atPoint, endName, inSpan, ipText } from "./parts.js";

/** @typedef {import("../sql.js").Sql} Sql */
/** @typedef {import("../range.js").Span} Span */
/** @typedef {"l7_flow_log" | "l4_flow_log"} Log */
/** @typedef {{ value: number | string, id: string }} Cursor the last row of the page before */
/** @typedef {{ key: string, descending: boolean }} Order */

const ENDS = sql`${endName(0)} AS client, ${endName(1)} AS server, ${ipText(0)} AS client_ip, ${ipText(1)} AS server_ip,
  toString(process_kname_0) AS client_process, toString(process_kname_1) AS server_process, process_id_0, process_id_1, client_port, server_port`;

const WHERE_SEEN = sql`toString(observation_point) AS point, signal_source, agent_id, toString(flow_id) AS flow,
  toUnixTimestamp64Micro(start_time) AS start_us, toUnixTimestamp64Micro(end_time) AS end_us, toUnixTimestamp(time) AS second, toString(_id) AS id`;

const LISTED = {
  l7_flow_log: sql`${WHERE_SEEN}, ${ENDS}, l7_protocol, type, toString(request_type) AS method, request_domain, request_resource, endpoint,
    response_status, response_code, response_exception, response_duration, request_length, response_length, is_tls, trace_id, req_tcp_seq, resp_tcp_seq`,
  l4_flow_log: sql`${WHERE_SEEN}, ${ENDS}, protocol, l7_protocol, status, close_type, duration, packet_tx, packet_rx, byte_tx, byte_rx,
    rtt, srt_sum, srt_count, art_sum, art_count, retrans_tx, retrans_rx, l7_request, l7_error, is_new_flow`,
};

/** What a log can be ordered by: never NULL, so that a cursor always compares. */
const ORDERS = /** @type {Record<Log, Record<string, Sql>>} */ ({
  l7_flow_log: {
    time: sql`toUnixTimestamp64Micro(start_time)`,
    duration: sql`response_duration`,
    status: sql`response_status`,
    code: sql`ifNull(response_code, -2147483648)`,
    client: endName(0),
    server: endName(1),
    protocol: sql`l7_protocol`,
    request: sql`request_resource`,
    bytes: sql`ifNull(response_length, -1)`,
  },
  l4_flow_log: {
    time: sql`toUnixTimestamp64Micro(start_time)`,
    duration: sql`duration`,
    close: sql`close_type`,
    client: endName(0),
    server: endName(1),
    protocol: sql`l7_protocol`,
    bytes: sql`byte_tx + byte_rx`,
    packets: sql`packet_tx + packet_rx`,
    rtt: sql`rtt`,
    retrans: sql`retrans_tx + retrans_rx`,
  },
});

/** Columns of the request log that a text is looked for in. */
const SEARCHED = {
  l7_flow_log: ["request_resource", "endpoint", "request_domain", "request_type", "response_exception", "response_result"],
  l4_flow_log: ["request_domain"],
};

/**
 * One page of a log.
 * @param {Log} table
 * @param {Span} span
 * @param {Record<string, string>} filters
 * @param {Order} order
 * @param {Cursor | null} after
 * @param {number} rows
 */
export function page(table, span, filters, order, after, rows) {
  const key = ORDERS[table][order.key] ?? ORDERS[table].time;
  const direction = order.descending ? sql`DESC` : sql`ASC`;
  const sign = order.descending ? sql`<` : sql`>`;
  const rest = after
    ? sql`(${key} ${sign} ${after.value} OR (${key} = ${after.value} AND _id ${sign} toUInt64(${after.id})))`
    : sql`1`;
  return sql`SELECT ${LISTED[table]}, ${key} AS order_value FROM flow_log.${column(table)}
    WHERE ${conditions(table, span, filters)} AND ${rest}
    ORDER BY order_value ${direction}, _id ${direction} LIMIT ${rows} /* ui:page ${column(table)} */`;
}

/**
 * Rows by bucket and status, for the histogram above a log; their sum is how many rows there are.
 * @param {Log} table
 * @param {Span} span
 * @param {Record<string, string>} filters
 */
export function histogram(table, span, filters) {
  const status = table === "l7_flow_log" ? sql`response_status` : sql`status`;
  return sql`SELECT intDiv(toUnixTimestamp(time), ${span.step}) * ${span.step} AS bucket, ${status} AS status, count() AS rows
    FROM flow_log.${column(table)} WHERE ${conditions(table, span, filters)}
    GROUP BY bucket, status ORDER BY bucket LIMIT 5000 /* ui:histogram ${column(table)} */`;
}

/** Put before a column's name where its form is not the store's: the name itself stays the column. */
const SHOWN = "v_";

/**
 * A row by column name, from an answer to `row`.
 * @param {Record<string, any>} answer
 * @returns {Record<string, any>}
 */
export function rowOf(answer) {
  return Object.fromEntries(Object.entries(answer).map(([name, value]) => [name.startsWith(SHOWN) ? name.slice(SHOWN.length) : name, value]));
}

/**
 * All columns of one row, in forms that JSON keeps exactly.
 * @param {Log} table
 * @param {string} id
 * @param {number} second its `time`, which finds the part of the store quickly
 */
export function row(table, id, second) {
  const shown = columnsOf(table).map(({ name, type }) => exact(name, type));
  return sql`SELECT ${join(shown, sql`, `)} FROM flow_log.${column(table)}
    WHERE time = toDateTime(${second}) AND _id = toUInt64(${id}) LIMIT 1 /* ui:row ${column(table)} */`;
}

/**
 * The rows of the same request at all observation points: by TCP sequence, else by ports and id.
 * @param {Record<string, any>} request a row as `row` gives it
 */
export function sameRequest(request) {
  const second = Number(request.time);
  const near = { from: second - 60, to: second + 61, step: 1, live: false, now: second };
  const match = request.req_tcp_seq
    ? sql`req_tcp_seq = ${Number(request.req_tcp_seq)}`
    : sql`request_domain = ${String(request.request_domain)} AND ifNull(toString(request_id), '') = ${request.request_id === null ? "" : String(request.request_id)}`;
  return sql`SELECT ${LISTED.l7_flow_log} FROM flow_log.l7_flow_log
    WHERE ${inSpan(near)} AND client_port = ${Number(request.client_port)} AND server_port = ${Number(request.server_port)}
    AND l7_protocol = ${Number(request.l7_protocol)} AND ${match} ORDER BY start_us LIMIT 20 /* ui:same */`;
}

/**
 * Names of a row's hosts and processes: rows hold integers, dictionaries the names.
 * @param {Record<string, any>} found a row as `row` gives it
 */
export function names(found) {
  const name = (/** @type {string} */ dictionary, /** @type {string} */ attribute, /** @type {string} */ id) =>
    sql`dictGetOrDefault(${`flow_tag.${dictionary}`}, ${attribute}, toUInt64(${Number(found[id] ?? 0)}), '')`;
  return sql`SELECT ${name("vtap_map", "name", "agent_id")} AS agent, ${name("host_map", "name", "host_id_0")} AS client_host,
    ${name("host_map", "name", "host_id_1")} AS server_host, ${name("gprocess_map", "command_line", "gprocess_id_0")} AS client_command,
    ${name("gprocess_map", "command_line", "gprocess_id_1")} AS server_command /* ui:names */`;
}

/**
 * @param {Log} table
 * @param {Span} span
 * @param {Record<string, string>} filters as `readFilters` gives them
 * @returns {Sql}
 */
function conditions(table, span, filters) {
  const source = sql`flow_log.${column(table)}`;
  const protocol = table === "l7_flow_log" ? sql`l7_protocol` : sql`protocol`;
  const out = [inSpan(span), atPoint(filters.point ?? "all", source, span, protocol)];
  for (const [name, value] of Object.entries(filters)) {
    const condition = CONDITIONS[name]?.(value, table);
    if (condition) out.push(condition);
  }
  return all(out);
}

/** @type {Record<string, (value: string, table: Log) => Sql>} */
const CONDITIONS = {
  source: (value) => sql`signal_source = ${Number(value)}`,
  protocol: (value) => sql`l7_protocol = ${Number(value)}`,
  transport: (value) => sql`protocol = ${Number(value)}`,
  status: (value, table) => {
    const status = table === "l7_flow_log" ? sql`response_status` : sql`status`;
    return value === ERRORS ? sql`${status} IN (${ERROR_STATUSES})` : sql`${status} = ${Number(value)}`;
  },
  close: (value) => sql`close_type = ${Number(value)}`,
  client: (value) => end(0, value),
  server: (value) => end(1, value),
  ip: (value) => sql`${value} IN (${ipText(0)}, ${ipText(1)})`,
  port: (value) => sql`${Number(value)} IN (client_port, server_port)`,
  text: (value, table) => {
    const found = SEARCHED[table].map((name) => sql`positionCaseInsensitiveUTF8(${column(name)}, ${value}) > 0`);
    return join(found, sql` OR `);
  },
  slower: (value, table) => sql`${table === "l7_flow_log" ? sql`response_duration` : sql`duration`} >= ${parseDuration(value) ?? 0}`,
  endpoint: (value) => sql`endpoint = ${value}`,
  code: (value) => sql`response_code = ${Number(value)}`,
  flow: (value) => sql`flow_id = toUInt64(${value})`,
  trace: (value) => sql`trace_id = ${value}`,
  seq: (value) => sql`${Number(value)} IN (req_tcp_seq, resp_tcp_seq)`,
  thread: (value) => sql`toUInt64(${value}) IN (syscall_trace_id_request, syscall_trace_id_response)`,
};

/**
 * "=name" is the end's whole name, anything else a part of its process name or address.
 * @param {0 | 1} side
 * @param {string} value
 */
function end(side, value) {
  if (value.startsWith("=")) return sql`${endName(side)} = ${value.slice(1)}`;
  const haystack = sql`concat(toString(${column(`process_kname_${side}`)}), ' ', ${ipText(side)})`;
  return sql`positionCaseInsensitiveUTF8(${haystack}, ${value}) > 0`;
}

/**
 * 64-bit numbers as text, times as numbers, addresses as text.
 * @param {string} name
 * @param {string} type as the schema has it
 * @returns {Sql}
 */
function exact(name, type) {
  const value = column(name);
  const shown = column(`${SHOWN}${name}`);
  if (/^(opt_)?(u64|i64|ip4|ip6)$/.test(type)) return sql`toString(${value}) AS ${shown}`;
  if (type === "micros") return sql`toUnixTimestamp64Micro(${value}) AS ${shown}`;
  if (type === "seconds") return sql`toUnixTimestamp(${value}) AS ${shown}`;
  return sql`${value} AS ${shown}`;
}
