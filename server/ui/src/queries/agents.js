// Statements of the agents page. In: a span. Out: one SELECT.

import { sql } from "../sql.js";
import { inSpan } from "./parts.js";

/** Metrics that the page draws, by column. */
const DRAWN = {
  rss_bytes: "agent_memory_rss_bytes",
  cpu_ms: "agent_cpu_milliseconds_total",
  packets: "agent_packets_total",
  events: "agent_socket_events_total",
};

/**
 * Self-telemetry by bucket and agent: the newest value of each metric.
 * @param {import("../range.js").Span} span
 */
export function telemetry(span) {
  const names = Object.values(DRAWN);
  return sql`SELECT intDiv(toUnixTimestamp(time), ${span.step}) * ${span.step} AS bucket, agent_id,
    maxIf(value, name = ${DRAWN.rss_bytes}) AS rss_bytes, maxIf(value, name = ${DRAWN.cpu_ms}) AS cpu_ms,
    maxIf(value, name = ${DRAWN.packets}) AS packets, maxIf(value, name = ${DRAWN.events}) AS events,
    countIf(name = ${DRAWN.rss_bytes}) AS samples
    FROM deepflow_tenant.deepflow_collector ARRAY JOIN metrics_float_names AS name, metrics_float_values AS value
    WHERE ${inSpan(span)} AND name IN (${names})
    GROUP BY bucket, agent_id HAVING samples > 0 ORDER BY bucket LIMIT 9000 /* ui:telemetry */`;
}
