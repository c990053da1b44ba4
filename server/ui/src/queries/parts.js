// Conditions and expressions that several statements share. In: a span, names of sides. Out: `Sql`.
// Never: a whole statement.

import { column, sql } from "../sql.js";

/** @typedef {import("../sql.js").Sql} Sql */
/** @typedef {import("../range.js").Span} Span */

/** What the point selector offers besides the points themselves. */
export const ONCE = "once";
export const ALL_POINTS = "all";

/**
 * Which point counts for a server, best first: the server process, packets at the server, at its
 * node, the client process, packets at the client, at its node, spans of applications.
 */
const RANKED_POINTS = ["s-p", "s", "local", "s-nd", "c-p", "c", "c-nd", "s-app", "c-app", "app"];
const RANKS = [1, 2, 2, 3, 4, 5, 6, 7, 8, 9];
const LAST_RANK = 10;

/** Numbers of ResponseStatus and FlowStatus that stand for a failure: timeout (flows: reset), server, client. */
export const ERROR_STATUSES = [2, 3, 4];

/** Each host has a loopback of its own: 127.0.0.0/8 and ::1 are told apart by agent. */
const LOOPBACK = sql`(is_ipv4 = 1 AND bitShiftRight(toUInt32(ip4_1), 24) = 127) OR (is_ipv4 = 0 AND ip6_1 = toIPv6('::1'))`;

/** The rule above in a sentence, for the person at the screen. */
export const ONCE_DOC =
  "One request is seen at several points: by the client process (c-p), by the server process (s-p), " +
  "and as packets (local, c, s). For each server address, port and protocol only the point nearest to the " +
  "server counts: s-p, else packets at the server (s, local), else c-p, else packets at the client (c).";

/**
 * Rows of a span.
 * @param {Span} span
 * @returns {Sql}
 */
export function inSpan(span) {
  return sql`time >= toDateTime(${span.from}) AND time < toDateTime(${span.to})`;
}

/**
 * An address as text.
 * @param {0 | 1 | ""} side
 * @returns {Sql}
 */
export function ipText(side) {
  const suffix = side === "" ? "" : `_${side}`;
  return sql`if(is_ipv4 = 1, toString(${column(`ip4${suffix}`)}), toString(${column(`ip6${suffix}`)}))`;
}

/**
 * What a person calls an end: its process, else its address; a server's address with its port.
 * @param {0 | 1} side 0 client, 1 server
 * @returns {Sql}
 */
export function endName(side) {
  const name = column(`process_kname_${side}`);
  const address = side === 1 ? sql`concat(${ipText(1)}, ':', toString(server_port))` : ipText(0);
  return sql`if(${name} != '', toString(${name}), ${address})`;
}

/**
 * Rows of the chosen observation point; `ONCE` counts each request at one point only.
 * @param {string} point
 * @param {Sql} source table with database, or a sub-select
 * @param {Span} span
 * @param {Sql} [protocol] the column that tells protocols apart
 * @returns {Sql}
 */
export function atPoint(point, source, span, protocol = sql`l7_protocol`) {
  if (point === ALL_POINTS) return sql`1`;
  if (point !== ONCE) return sql`observation_point = ${point}`;
  const rank = sql`transform(observation_point, [${RANKED_POINTS}], [${RANKS}], ${LAST_RANK})`;
  // One number instead of a tuple: the set is looked up for each row, and this is several times faster.
  const server = sql`cityHash64(ip4_1, ip6_1, server_port, ${protocol}, if(${LOOPBACK}, agent_id, 0))`;
  return sql`cityHash64(${server}, ${rank}) IN (SELECT cityHash64(${server}, min(${rank})) FROM ${source} WHERE ${inSpan(span)} GROUP BY ${server})`;
}
