// Statements of the overview. In: span, observation point. Out: one SELECT each.
// Counts come from the metrics, which are complete; percentiles need single requests and come
// from the request log.

import { column, sql } from "../sql.js";
import { ERROR_STATUSES, atPoint, endName, inSpan } from "./parts.js";

/** @typedef {import("../sql.js").Sql} Sql */
/** @typedef {import("../range.js").Span} Span */

const LOG = sql`flow_log.l7_flow_log`;
const SECONDS = sql`flow_metrics.${column("application_map.1s")}`;
const MINUTES = sql`flow_metrics.${column("application_map.1m")}`;

/** A minute's metrics are complete this long after its start. */
const MINUTE_SETTLES_SECONDS = 180;

/** Metrics by the second are kept for 24 h; older spans use minutes. */
const SECONDS_KEPT = 23 * 3600;

const COLUMNS = sql`time, ip4_0, ip6_0, ip4_1, ip6_1, is_ipv4, server_port, observation_point, agent_id, l7_protocol,
  endpoint, process_kname_0, process_kname_1, process_id_1, request, response, client_error, server_error, timeout, error, rrt_sum, rrt_count, rrt_max`;

/**
 * The metrics of a span: seconds while they are cheap and kept, else minutes with the newest
 * minutes, not yet complete, from seconds.
 * @param {Span} span
 * @returns {Sql}
 */
export function metricsOf(span) {
  const old = span.from < span.now - SECONDS_KEPT;
  if (!old && span.step < 300) return SECONDS;
  const cut = Math.floor((span.now - MINUTE_SETTLES_SECONDS) / 60) * 60;
  if (span.to <= cut) return MINUTES;
  return sql`(SELECT ${COLUMNS} FROM ${MINUTES} WHERE time < toDateTime(${cut}) AND ${inSpan(span)}
    UNION ALL SELECT ${COLUMNS} FROM ${SECONDS} WHERE time >= toDateTime(${cut}) AND ${inSpan(span)})`;
}

/**
 * @param {Span} span
 * @param {string} point
 */
function metricRows(span, point) {
  const source = metricsOf(span);
  return sql`FROM ${source} WHERE ${inSpan(span)} AND ${atPoint(point, source, span)}`;
}

/**
 * @param {Span} span
 * @param {string} point
 */
function logRows(span, point) {
  return sql`FROM ${LOG} WHERE ${inSpan(span)} AND ${atPoint(point, LOG, span)}`;
}

/** Errors are what the protocol calls so; a timeout is one for the person who waits. */
const COUNTS = sql`sum(request) AS requests, sum(error) AS errors, sum(timeout) AS timeouts,
  sum(rrt_sum) AS rrt_sum_us, sum(rrt_count) AS rrt_samples, max(rrt_max) AS rrt_max_us`;

/** Groups with a line of their own in a chart; the rest is `OTHERS`. */
const LINES = 7;

/** Name of all groups that have no line of their own. */
export const OTHERS = "others";

/**
 * Requests, errors and response time by bucket and service or protocol, the busiest by name.
 * @param {Span} span
 * @param {string} point
 * @param {"service" | "protocol"} group
 */
export function series(span, point, group) {
  const name = group === "service" ? endName(1) : sql`toString(l7_protocol)`;
  const rows = metricRows(span, point);
  return sql`SELECT intDiv(toUnixTimestamp(time), ${span.step}) * ${span.step} AS bucket,
    if(${name} IN (SELECT busy FROM (SELECT ${name} AS busy, sum(request) AS most ${rows} GROUP BY busy ORDER BY most DESC, busy LIMIT ${LINES})), ${name}, ${OTHERS}) AS name,
    ${COUNTS}, max(toUnixTimestamp(time)) AS newest ${rows}
    GROUP BY bucket, name ORDER BY bucket, name LIMIT 5000 /* ui:series */`;
}

/**
 * Percentiles of the response time by bucket.
 * @param {Span} span
 * @param {string} point
 */
export function latencySeries(span, point) {
  return sql`SELECT intDiv(toUnixTimestamp(time), ${span.step}) * ${span.step} AS bucket, count() AS samples, avg(response_duration) AS avg_us,
    quantilesTDigest(0.5, 0.95, 0.99)(response_duration) AS quantiles_us ${logRows(span, point)} AND response_duration > 0
    GROUP BY bucket ORDER BY bucket LIMIT 5000 /* ui:latency */`;
}

/**
 * Totals by service and protocol.
 * @param {Span} span
 * @param {string} point
 */
export function services(span, point) {
  return sql`SELECT ${endName(1)} AS service, l7_protocol AS app_protocol, any(server_port) AS port, ${COUNTS} ${metricRows(span, point)}
    GROUP BY service, app_protocol ORDER BY requests DESC LIMIT 200 /* ui:services */`;
}

/**
 * Percentiles by service and protocol, and of all together (service empty).
 * @param {Span} span
 * @param {string} point
 */
export function serviceLatency(span, point) {
  return sql`SELECT ${endName(1)} AS service, l7_protocol AS app_protocol, grouping(service) AS whole, count() AS samples,
    avg(response_duration) AS avg_us, quantilesTDigest(0.5, 0.95, 0.99)(response_duration) AS quantiles_us
    ${logRows(span, point)} AND response_duration > 0
    GROUP BY GROUPING SETS ((service, app_protocol), ()) LIMIT 500 /* ui:percentiles */`;
}

/** Orders of the endpoint table. */
const ENDPOINT_ORDERS = {
  requests: sql`requests`,
  errors: sql`errors + timeouts`,
  latency: sql`rrt_sum_us / greatest(rrt_samples, 1)`,
};

/**
 * The endpoints with most requests, most errors, or the slowest.
 * @param {Span} span
 * @param {string} point
 * @param {keyof typeof ENDPOINT_ORDERS} order
 */
export function endpoints(span, point, order) {
  return sql`SELECT endpoint, ${endName(1)} AS service, l7_protocol AS app_protocol, ${COUNTS} ${metricRows(span, point)}
    GROUP BY endpoint, service, app_protocol HAVING requests > 0 ORDER BY ${ENDPOINT_ORDERS[order]} DESC, endpoint LIMIT 15 /* ui:endpoints */`;
}

/**
 * The most frequent errors with an example of each.
 * @param {Span} span
 * @param {string} point
 */
export function errors(span, point) {
  return sql`SELECT ${endName(1)} AS service, l7_protocol AS app_protocol, response_status AS status, response_code AS code,
    any(response_exception) AS exception, any(request_type) AS request_type, any(endpoint) AS endpoint, count() AS rows,
    max(toUnixTimestamp64Micro(end_time)) AS last_us ${logRows(span, point)} AND response_status IN (${ERROR_STATUSES})
    GROUP BY service, app_protocol, status, code ORDER BY rows DESC LIMIT 15 /* ui:errors */`;
}

/**
 * Who calls whom: requests, errors and response time by client and server.
 * @param {Span} span
 * @param {string} point
 * @param {string} protocol number of a protocol, "" = all
 */
export function calls(span, point, protocol) {
  const only = protocol === "" ? sql`1` : sql`l7_protocol = ${Number(protocol)}`;
  return sql`SELECT ${endName(0)} AS client, ${endName(1)} AS server, any(process_kname_0) != '' AS client_is_process,
    any(process_kname_1) != '' AS server_is_process, l7_protocol AS app_protocol, any(server_port) AS port, ${COUNTS}
    ${metricRows(span, point)} AND ${only}
    GROUP BY client, server, app_protocol ORDER BY requests DESC LIMIT 600 /* ui:calls */`;
}
