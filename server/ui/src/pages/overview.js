// Overview: how many requests, how many fail, how long they take, by service and protocol.

import { query } from "../api.js";
import { Chart } from "../chart.js";
import { fill, h } from "../dom.js";
import { POINT_FILTER } from "../filters.js";
import { createFilterbar } from "../filterbar.js";
import * as format from "../format.js";
import { enumName, protocolName } from "../labels.js";
import { emptyState, errorShare, noDataYet, panel, protocolBadge, segmented, shareBar, statusBadge, tile, toneOfErrors } from "../parts.js";
import { OTHERS, endpoints, errors, latencySeries, series, serviceLatency, services } from "../queries/metrics.js";
import { ONCE } from "../queries/parts.js";
import { latencies, meanUs, rates, spanSeconds, totals } from "../summary.js";
import { Table } from "../table.js";

/** @typedef {import("../api.js").Row} Row */

/** @type {import("../page.js").PageFactory} */
export function createOverview(frame) {
  const filters = createFilterbar([POINT_FILTER], frame);
  const group = segmented("Group by", [{ value: "service", label: "by service" }, { value: "protocol", label: "by protocol" }], (value) => frame.set({ group: value }));
  const order = segmented("Endpoints by", [{ value: "requests", label: "busiest" }, { value: "errors", label: "most errors" }, { value: "latency", label: "slowest" }], (value) => frame.set({ order: value }));
  const tiles = h("div", { class: "tiles" });
  const requests = new Chart({ label: "Requests per second", format: format.rate, stacked: true, onZoom: frame.zoom });
  const failures = new Chart({ label: "Errors and timeouts per second", format: format.rate, stacked: true, empty: "no errors in this range", onZoom: frame.zoom });
  const latency = new Chart({ label: "Response time", format: format.duration, logarithmic: true, onZoom: frame.zoom });
  const serviceTable = new Table({ label: "Services", columns: serviceColumns(() => busiest), key: (row) => `${row.service}|${row.app_protocol}`, onOpen: (row) => showRequests(row, {}), empty: noDataYet });
  const endpointTable = new Table({ label: "Endpoints", columns: ENDPOINT_COLUMNS, key: (row) => `${row.service}|${row.app_protocol}|${row.endpoint}`, onOpen: (row) => showRequests(row, { endpoint: row.endpoint }), empty: noDataYet });
  const errorTable = new Table({ label: "Errors", columns: ERROR_COLUMNS, key: (row) => `${row.service}|${row.app_protocol}|${row.status}|${row.code}`, onOpen: (row) => showRequests(row, { status: String(row.status), code: row.code === null ? "" : String(row.code) }), empty: () => emptyState("No errors", "No request in this range ended with an error or a timeout.") });
  let busiest = 1;
  let point = ONCE;

  /**
   * @param {Row} row
   * @param {Record<string, string>} more
   */
  function showRequests(row, more) {
    frame.go("requests", { server: `=${row.service}`, protocol: String(row.app_protocol), ...(point === ONCE ? {} : { point }), ...more });
  }

  return {
    element: h("div", { class: "page" },
      h("div", { class: "page-head" }, h("h1", {}, "Overview"), h("span", { class: "grow" }), filters.element),
      tiles,
      h("div", { class: "columns" },
        panel("Requests", { tools: [group.element] }, requests.element),
        panel("Errors and timeouts", {}, failures.element),
        panel("Response time", { note: "of all services" }, latency.element)),
      panel("Services", { note: "select one to see its requests" }, serviceTable.element),
      h("div", { class: "split" },
        panel("Endpoints", { tools: [order.element] }, endpointTable.element),
        panel("Errors", { note: "most frequent first" }, errorTable.element))),

    async refresh({ span, params, signal }) {
      filters.show(params);
      point = params.point || ONCE;
      const by = params.group === "protocol" ? "protocol" : "service";
      const sort = params.order === "errors" || params.order === "latency" ? params.order : "requests";
      group.show(by);
      order.show(sort);
      const [lines, percentiles, table, tails, paths, wrong] = (await Promise.all([
        query(series(span, point, by), signal), query(latencySeries(span, point), signal),
        query(services(span, point), signal), query(serviceLatency(span, point), signal),
        query(endpoints(span, point, sort), signal), query(errors(span, point), signal),
      ])).map(({ rows }) => rows);

      const name = (/** @type {string} */ text) => (by === "protocol" && text !== OTHERS ? protocolName(text) : text);
      const asked = rates(lines, span, (row) => Number(row.requests), name);
      const failed = rates(lines, span, (row) => Number(row.errors) + Number(row.timeouts), name);
      requests.update(asked.times, asked.series);
      failures.update(failed.times, failed.series.filter(({ values }) => values.some((value) => value)));
      const times = latencies(percentiles, span);
      latency.update(times.times, times.series);
      fill(tiles, tilesOf(lines, tails.find((row) => Number(row.whole) === 1), spanSeconds(span)));

      const tail = new Map(tails.filter((row) => Number(row.whole) === 0).map((row) => [`${row.service}|${row.app_protocol}`, row]));
      busiest = Math.max(1, ...table.map((row) => Number(row.requests)));
      serviceTable.update(table.map((row) => ({ ...row, seconds: spanSeconds(span), tail: tail.get(`${row.service}|${row.app_protocol}`) })));
      endpointTable.update(paths);
      errorTable.update(wrong);
      return lines.length > 0 ? Math.max(...lines.map((row) => Number(row.newest))) : null;
    },

    close() {
      for (const chart of [requests, failures, latency]) chart.destroy();
    },
  };
}

/**
 * @param {Row[]} lines
 * @param {Row | undefined} whole percentiles over all services
 * @param {number} seconds
 */
function tilesOf(lines, whole, seconds) {
  const sum = totals(lines);
  const failed = sum.errors + sum.timeouts;
  const share = sum.requests > 0 ? failed / sum.requests : 0;
  const [p50, p95, p99] = whole && Number(whole.samples) > 0 ? whole.quantiles_us : [null, null, null];
  return [
    tile("Requests", format.count(sum.requests), `${format.rate(sum.requests / seconds)} on average`),
    tile("Errors", sum.requests > 0 ? format.percent(share) : "–", `${format.count(sum.errors)} errors`, toneOfErrors(share), "Errors of client and server, and timeouts, by requests."),
    tile("Timeouts", format.count(sum.timeouts), "no response in time", sum.timeouts > 0 ? "warn" : ""),
    tile("Average", format.duration(meanUs(sum)), "response time"),
    tile("p50", format.duration(p50), "half are faster"),
    tile("p95", format.duration(p95), "1 in 20 is slower"),
    tile("p99", format.duration(p99), `slowest ${format.duration(sum.rrtSamples > 0 ? sum.rrtMaxUs : null)}`),
  ];
}

/**
 * @param {() => number} busiest
 * @returns {import("../table.js").Column[]}
 */
function serviceColumns(busiest) {
  const quantile = (/** @type {number} */ index) => (/** @type {Row} */ row) => format.duration(row.tail ? Number(row.tail.quantiles_us[index]) : null);
  return [
    { label: "Service", kind: "clip", cell: (row) => h("strong", {}, row.service), title: (row) => row.service },
    { label: "Port", kind: "num", cell: (row) => (row.port ? String(row.port) : "–") },
    { label: "Protocol", cell: (row) => protocolBadge(row.app_protocol) },
    { label: "Requests", kind: "num", cell: (row) => [format.count(Number(row.requests)), shareBar(Number(row.requests) / busiest())] },
    { label: "Rate", kind: "num", cell: (row) => format.rate(Number(row.requests) / row.seconds) },
    { label: "Errors", kind: "num", cell: (row) => errorShare(Number(row.errors) + Number(row.timeouts), Number(row.requests)), doc: "errors and timeouts by requests" },
    { label: "Timeouts", kind: "num", cell: (row) => format.count(Number(row.timeouts)) },
    { label: "Average", kind: "num", cell: (row) => format.duration(meanUs(totals([row]))) },
    { label: "p50", kind: "num", cell: quantile(0) },
    { label: "p95", kind: "num", cell: quantile(1) },
    { label: "p99", kind: "num", cell: quantile(2) },
    { label: "Slowest", kind: "num", cell: (row) => format.duration(Number(row.rrt_samples) > 0 ? Number(row.rrt_max_us) : null) },
  ];
}

/** @type {import("../table.js").Column[]} */
const ENDPOINT_COLUMNS = [
  { label: "Endpoint", kind: "wide", cell: (row) => h("span", { class: "mono" }, row.endpoint || "–"), title: (row) => row.endpoint },
  { label: "Service", kind: "clip", cell: (row) => [row.service, " ", protocolBadge(row.app_protocol)], title: (row) => row.service },
  { label: "Requests", kind: "num", cell: (row) => format.count(Number(row.requests)) },
  { label: "Errors", kind: "num", cell: (row) => errorShare(Number(row.errors) + Number(row.timeouts), Number(row.requests)) },
  { label: "Average", kind: "num", cell: (row) => format.duration(meanUs(totals([row]))) },
  { label: "Slowest", kind: "num", cell: (row) => format.duration(Number(row.rrt_samples) > 0 ? Number(row.rrt_max_us) : null) },
];

/** @type {import("../table.js").Column[]} */
const ERROR_COLUMNS = [
  { label: "Status", cell: (row) => statusBadge("ResponseStatus", row.status), title: (row) => enumName("ResponseStatus", row.status) },
  { label: "Code", kind: "num", cell: (row) => (row.code === null ? "–" : String(row.code)) },
  { label: "Service", kind: "clip", cell: (row) => [row.service, " ", protocolBadge(row.app_protocol)], title: (row) => row.service },
  { label: "Example", kind: "wide", cell: (row) => h("span", { class: "mono" }, row.exception || `${row.request_type} ${row.endpoint}`), title: (row) => `${row.request_type} ${row.endpoint} ${row.exception}` },
  { label: "Count", kind: "num", cell: (row) => format.count(Number(row.rows)) },
  { label: "Last", kind: "num", cell: (row) => format.timeOfDay(Number(row.last_us)).slice(0, 8) },
];

