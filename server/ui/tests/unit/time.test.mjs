// Time ranges, addresses of pages, paging, sums by bucket.

import assert from "node:assert/strict";
import { test } from "node:test";

import { decades, lines } from "../../src/chart.js";
import * as paging from "../../src/paging.js";
import { buckets, elapsedSeconds, formatRange, parseRange, refreshSeconds, resolve, stepFor } from "../../src/range.js";
import { href, parseRoute, shared } from "../../src/router.js";
import { latencies, meanUs, rates, spanSeconds, totals } from "../../src/summary.js";
import { balance, byTag, ratesOf, sample, sumOf } from "../../src/telemetry.js";

test("ranges read back as they are written", () => {
  for (const text of ["5m", "15m", "1h", "6h", "24h", "7d", "45s", "1700000000-1700000600"]) assert.equal(formatRange(parseRange(text)), text);
  for (const wrong of ["", undefined, "0m", "5x", "9-3", "9-9", "<script>"]) assert.equal(formatRange(parseRange(wrong)), "15m");
  assert.deepEqual(parseRange("999999d"), { kind: "last", seconds: 31 * 86400 });
});

test("buckets keep their borders while time goes on", () => {
  const first = resolve(parseRange("15m"), 1_700_000_003.4);
  const later = resolve(parseRange("15m"), 1_700_000_004.9);
  assert.equal(first.from, later.from);
  assert.equal(first.step, 5);
  assert.ok(buckets(first).every((start) => start % 5 === 0));
  assert.ok(first.to > first.now, "the current second is inside");
  assert.deepEqual([60, 300, 900, 3600, 21600, 86400].map(stepFor), [1, 2, 5, 30, 120, 600]);
  assert.ok(refreshSeconds(resolve(parseRange("5m"), 1e9)) <= 2);
});

test("the newest bucket counts only the seconds that have passed", () => {
  const span = { from: 100, to: 112, step: 5, live: true, now: 111 };
  assert.deepEqual(buckets(span).map((start) => elapsedSeconds(span, start)), [5, 5, 0]);
  assert.equal(elapsedSeconds({ ...span, now: 113 }, 110), 2);
  const fixed = { from: 103, to: 112, step: 5, live: false, now: 999 };
  assert.deepEqual(buckets(fixed).map((start) => elapsedSeconds(fixed, start)), [2, 5, 2]);
});

test("addresses of pages read back as they are written", () => {
  const params = { range: "1h", text: "a&b=c#d/é'\"", server: "=nginx" };
  assert.deepEqual(parseRoute(href("requests", params), "overview"), { page: "requests", params });
  assert.deepEqual(parseRoute("", "overview"), { page: "overview", params: {} });
  assert.equal(parseRoute("#/../../x", "overview").page, "overview");
  assert.equal(href("map", { a: "", b: undefined, c: null }), "#/map");
  assert.deepEqual(shared({ range: "1h", text: "x" }), { range: "1h" });
});

test("paging walks forth and back by key", () => {
  const first = paging.firstPage(100);
  const second = paging.nextPage(first, { order_value: 5, id: "77" });
  assert.equal(paging.cursorOf(first), null);
  assert.deepEqual(paging.cursorOf(second), { value: 5, id: "77" });
  assert.ok(paging.isFirst(paging.previousPage(second)));
  assert.deepEqual(paging.previousPage(first), first);
  assert.equal(paging.position(second, 20, 120), "101–120 of 120");
  assert.equal(paging.position(first, 0, 0), "no rows");
  assert.equal(paging.position(first, 100, 42), "1–100 of 100", "never fewer than are shown");
});

const ROW = { errors: 1, timeouts: 0, rrt_sum_us: 100, rrt_samples: 4, rrt_max_us: 60 };

test("rates come per second, busiest first, without a bucket that has not begun", () => {
  const span = { from: 100, to: 112, step: 5, live: true, now: 111 };
  const rows = [{ bucket: 100, name: "a", requests: 5 }, { bucket: 100, name: "b", requests: 10 }, { bucket: 105, name: "b", requests: 5 }, { bucket: 110, name: "b", requests: 99 }];
  const { times, series } = rates(rows, span, (row) => row.requests, (name) => name);
  assert.deepEqual(times, [100, 105]);
  assert.deepEqual(series.map(({ label, values }) => [label, values]), [["b", [2, 1]], ["a", [1, 0]]]);
});

test("a mean is the sum by the samples, never a mean of means", () => {
  const sum = totals([{ requests: 4, ...ROW }, { requests: 1, errors: 0, timeouts: 1, rrt_sum_us: 900, rrt_samples: 1, rrt_max_us: 900 }]);
  assert.deepEqual([sum.requests, sum.errors, sum.timeouts, sum.rrtMaxUs, meanUs(sum)], [5, 1, 1, 900, 200]);
  assert.equal(meanUs(totals([])), null);
  assert.equal(spanSeconds({ from: 0, to: 901, step: 5, live: true, now: 900 }), 900);
});

test("response times are absent where nothing was measured", () => {
  const span = { from: 100, to: 110, step: 5, live: false, now: 999 };
  const { series } = latencies([{ bucket: 105, avg_us: 3, quantiles_us: [1, 2, 9] }], span);
  assert.deepEqual(series.map(({ label, values }) => [label, values]), [["p50", [null, 1]], ["avg", [null, 3]], ["p95", [null, 2]], ["p99", [null, 9]]]);
});

test("stacked areas add up from the bottom", () => {
  const series = [{ label: "a", values: [1, null] }, { label: "b", values: [2, 3] }];
  assert.deepEqual(lines(series, true), [[3, 3], [1, null]]);
  assert.deepEqual(lines(series, false), [[1, null], [2, 3]]);
  assert.deepEqual(decades(800, 30000), [1000, 2000, 5000, 10000, 20000]);
  assert.deepEqual(decades(800, 3e7), [1e3, 1e4, 1e5, 1e6, 1e7]);
});

test("metrics' tags are read", () => {
  assert.deepEqual(sample('a_total{table="x.y",why="a \\"b\\""}', 3), { name: "a_total", tags: { table: "x.y", why: 'a "b"' }, value: 3 });
  const metrics = { 'a{t="x"}': 1, 'a{t="y"}': 2, ab: 9 };
  assert.equal(sumOf(metrics, "a"), 3);
  assert.equal(sumOf(metrics, "none"), null);
  assert.deepEqual([...byTag(metrics, "a", "t")], [["x", 1], ["y", 2]]);
});

test("the conservation identity counts rows only, and a duplicate is no loss", () => {
  const drop = (/** @type {string} */ reason, /** @type {string} */ unit, /** @type {number} */ count) => ({ reason, unit, count, stage: "", doc: "" });
  const metrics = { 'agent_rows_observed_total{table="a"}': 60, 'agent_rows_observed_total{table="b"}': 40, "agent_rows_acknowledged_total": 80, "agent_rows_waiting": 13 };
  const sum = balance(metrics, [drop("queue_full", "row", 7), drop("batch_duplicate", "row", 5), drop("ring_full", "event", 3)]);
  assert.deepEqual(sum, { observed: 100, stored: 80, waiting: 13, dropped: 7, missing: 0 });
});

test("counters become rates; a restart counts from zero", () => {
  assert.deepEqual(ratesOf([null, 10, 30, null, 50, 5], 5), [null, null, 4, null, 2, 1]);
});
