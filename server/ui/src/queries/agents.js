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
 * Self-telemetry by bucket and agent: the newest value of each metric, summed over its tags.
 * @param {import("../range.js").Span} span
 */
export function telemetry(span) {
  const names = Object.values(DRAWN);
  const base = sql`splitByChar('{', toString(full_name))[1]`;
  return sql`SELECT bucket, agent_id, sumIf(newest, name = ${DRAWN.rss_bytes}) AS rss_bytes, sumIf(newest, name = ${DRAWN.cpu_ms}) AS cpu_ms,
    sumIf(newest, name = ${DRAWN.packets}) AS packets, sumIf(newest, name = ${DRAWN.events}) AS events, countIf(name = ${DRAWN.rss_bytes}) AS samples
    FROM (SELECT intDiv(toUnixTimestamp(time), ${span.step}) * ${span.step} AS bucket, agent_id, full_name, ${base} AS name, tag_values, max(value) AS newest
      FROM deepflow_tenant.deepflow_collector ARRAY JOIN metrics_float_names AS full_name, metrics_float_values AS value
      WHERE ${inSpan(span)} AND ${base} IN (${names})
      GROUP BY bucket, agent_id, full_name, name, tag_values)
    GROUP BY bucket, agent_id HAVING samples > 0 ORDER BY bucket LIMIT 9000 /* ui:telemetry */`;
}
