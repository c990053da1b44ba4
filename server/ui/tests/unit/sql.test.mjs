// SQL texts: every value is quoted by its type, and no file but the makers of SQL holds any.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { readFilters, REQUEST_FILTERS } from "../../src/filters.js";
import { calls, metricsOf, series } from "../../src/queries/metrics.js";
import { page, row, rowOf, sameRequest } from "../../src/queries/logs.js";
import { atPoint } from "../../src/queries/parts.js";
import { all, column, join as joined, quote, sql } from "../../src/sql.js";

const SPAN = { from: 1000, to: 1900, step: 5, live: true, now: 1899 };
const ORDER = { key: "time", descending: true };
const SOURCES = join(import.meta.dirname, "../../src");

/**
 * Undoes a literal as ClickHouse reads it; throws where the text leaves its quotes.
 * @param {string} literal
 */
function readLiteral(literal) {
  assert.match(literal, /^'([^'\\]|\\.)*'$/s);
  const named = /** @type {Record<string, string>} */ ({ 0: "\0", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" });
  return literal.slice(1, -1).replace(/\\(.)/gs, (_, char) => named[char] ?? char);
}

const HOSTILE = ["", "'", "\\", "\\'", "' OR 1 = 1 --", "'; DROP TABLE x; --", "a\0b\nc\td\b\f\r", "%_", "\\\\'", "ü€😀", "${x}", "*/ SELECT 1 /*", "`"];

test("a quoted text reads back as itself", () => {
  for (const text of HOSTILE) assert.equal(readLiteral(quote(text)), text);
});

test("no character ends a literal", () => {
  for (let code = 0; code < 0x500; code += 1) {
    const text = `a${String.fromCharCode(code)}'b`;
    assert.equal(readLiteral(quote(text)), text, `character ${code}`);
  }
});

test("the template takes texts, numbers, lists and fragments, and nothing else", () => {
  assert.equal(sql`a = ${"x'y"} AND b IN (${[1, 2]}) AND ${sql`c`}`.text, "a = 'x\\'y' AND b IN (1, 2) AND c");
  for (const wrong of [Number.NaN, Infinity, undefined, null, {}, []]) {
    assert.throws(() => sql`${/** @type {any} */ (wrong)}`, /SQL form/);
  }
});

test("columns are names only", () => {
  assert.equal(column("ip4_0").text, "`ip4_0`");
  assert.equal(column("application_map.1s").text, "`application_map.1s`");
  for (const wrong of ["a b", "a`b", "", "1a", "a;b", "a.b.c"]) assert.throws(() => column(wrong), /not a column name/);
});

test("conditions are put in brackets each", () => {
  assert.equal(all([]).text, "1");
  assert.equal(all([sql`a OR b`, sql`c`]).text, "(a OR b) AND (c)");
  assert.equal(joined([sql`a`, sql`b`], sql`, `).text, "a, b");
});

test("filter values reach the statement only as literals", () => {
  const names = REQUEST_FILTERS.map(({ name }) => name);
  for (const text of HOSTILE) {
    const params = Object.fromEntries(names.map((name) => [name, text]));
    const { values } = readFilters(REQUEST_FILTERS, params);
    const statement = page("l7_flow_log", SPAN, values, ORDER, null, 10).text;
    const outside = statement.replace(/'([^'\\]|\\.)*'/gs, "literal");
    assert.doesNotMatch(outside, /DROP|OR 1 = 1|--/, text);
    assert.doesNotMatch(outside, /'/, `unbalanced quotes with ${JSON.stringify(text)}`);
  }
});

test("filters that are wrong are told and left out", () => {
  const { values, problems } = readFilters(REQUEST_FILTERS, { port: "80x", slower: "fast", ip: "nginx'", source: "300", flow: "99999999999999999999", status: "bad" });
  assert.deepEqual(Object.keys(values), ["point"]);
  assert.deepEqual(Object.keys(problems).sort(), ["flow", "ip", "port", "slower", "source", "status"]);
});

test("a cursor continues after its row", () => {
  const down = page("l7_flow_log", SPAN, {}, ORDER, { value: 5, id: "7" }, 10).text;
  assert.match(down, /< 5 OR \(.* = 5 AND _id < toUInt64\('7'\)\)/);
  assert.match(down, /ORDER BY order_value DESC, _id DESC LIMIT 10/);
  const up = page("l7_flow_log", SPAN, {}, { key: "client", descending: false }, { value: "a'", id: "7" }, 10).text;
  assert.match(up, /> 'a\\''/);
  assert.match(up, /ORDER BY order_value ASC, _id ASC/);
});

test("an unknown order is the time", () => {
  assert.equal(page("l7_flow_log", SPAN, {}, { key: "__proto__x", descending: true }, null, 1).text, page("l7_flow_log", SPAN, {}, ORDER, null, 1).text);
});

test("a row comes with 64-bit numbers as text and under its columns' names", () => {
  const statement = row("l7_flow_log", "18446744073709551615", 1000).text;
  assert.match(statement, /toString\(`_id`\) AS `v__id`/);
  assert.match(statement, /toUInt64\('18446744073709551615'\)/);
  assert.deepEqual(rowOf({ v__id: "1", v_time: 2 }), { _id: "1", time: 2 });
});

test("the same request is found by sequence, else by id and ports", () => {
  const base = { time: 100, client_port: 4, server_port: 53, l7_protocol: 120, request_domain: "a'b", request_id: 7 };
  assert.match(sameRequest({ ...base, req_tcp_seq: 9 }).text, /req_tcp_seq = 9/);
  assert.match(sameRequest({ ...base, req_tcp_seq: 0 }).text, /request_domain = 'a\\'b'.*'7'/);
});

test("each request once: the best point of a server, or the point asked for", () => {
  assert.equal(atPoint("all", sql`t`, SPAN).text, "1");
  assert.equal(atPoint("s-p", sql`t`, SPAN).text, "observation_point = 's-p'");
  assert.match(atPoint("once", sql`t`, SPAN).text, /IN \(SELECT .* min\(transform\(.*FROM t WHERE/s);
});

test("old and wide spans read minutes, fresh ones seconds", () => {
  assert.match(metricsOf(SPAN).text, /1s/);
  const day = { from: 1_700_000_000 - 86400, to: 1_700_000_001, step: 600, live: true, now: 1_700_000_000 };
  assert.match(metricsOf(day).text, /1m.*UNION ALL.*1s/s);
  const lastWeek = { from: 1_699_000_000, to: 1_699_003_600, step: 30, live: false, now: 1_700_000_000 };
  assert.doesNotMatch(metricsOf(lastWeek).text, /1s/);
});

test("statements are one SELECT and carry their name", () => {
  for (const statement of [series(SPAN, "once", "service"), series(SPAN, "all", "protocol"), calls(SPAN, "once", "20"), page("l4_flow_log", SPAN, {}, ORDER, null, 1)]) {
    assert.match(statement.text, /^SELECT .*\/\* ui:[a-z`_0-9 ]+ \*\/$/s);
    assert.doesNotMatch(statement.text, /;/);
  }
});

test("no other file writes SQL, markup or scripts from texts", () => {
  const files = readdirSync(SOURCES, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".js"));
  assert.ok(files.length > 25);
  for (const name of files) {
    const text = readFileSync(join(SOURCES, name), "utf8");
    if (!name.startsWith("queries") && name !== "sql.js") assert.doesNotMatch(text, /SELECT .* FROM|new Sql\(/, name);
    assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|javascript:/, name);
    assert.doesNotMatch(text.replace(/^.*@link.*$/gm, "").replaceAll("http://www.w3.org/2000/svg", "").replaceAll("http://127.0.0.1/", ""), /https?:\/\//, name);
  }
});
