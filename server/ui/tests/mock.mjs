// A server without a store, to work on the pages and to test them in seconds. In: the pages' own
// statements, known by their trailing comment. Out: the shapes of server/serverd/README.md, from
// invented rows. Never: SQL; it knows the filters that the browser test sets and refuses the rest.
//
//     node tests/mock.mjs [PORT]

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { pathToFileURL } from "node:url";

import { DROPS, TABLES } from "../generated/labels.js";
import { happened } from "./fixture.mjs";

/** @typedef {import("./fixture.mjs").Row} Row */

const UI = join(import.meta.dirname, "..");
const KEPT_SECONDS = 960;
/** Few enough rows that an answer takes milliseconds on a busy machine. */
const SCALE = 0.3;
const TYPES = /** @type {Record<string, string>} */ ({ ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" });
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";
const RANKS = ["s-p", "s", "local", "c-p", "c"];

/** What happened so far, made as time goes on. */
const store = { until: 0, requests: /** @type {Row[]} */ ([]), flows: /** @type {Row[]} */ ([]) };

/**
 * Starts the server; it is up when the promise resolves.
 * @param {number} port 0 = any
 * @param {string} base path under which the pages are, "/" or "/some/path/"
 * @returns {Promise<{ url: string, close: () => void }>}
 */
export function startMock(port, base = "/") {
  grow();
  const server = createServer((request, response) => {
    const path = (request.url ?? "/").split("?")[0];
    const rest = path.startsWith(base) ? path.slice(base.length) : null;
    /** @param {number} status @param {string} type @param {string | Buffer} body */
    const answer = (status, type, body) => {
      response.writeHead(status, { "content-type": type, "content-security-policy": POLICY, "x-content-type-options": "nosniff" });
      response.end(body);
    };
    if (rest === null) return answer(404, "text/plain", "not under this path");
    if (rest === "v1/agents") return answer(200, "application/json", JSON.stringify({ agents: [AGENT()] }));
    if (rest === "v1/health") return answer(200, "application/json", JSON.stringify(health()));
    if (rest !== "v1/query/") return file(rest || "index.html", answer);
    let body = "";
    request.on("data", (part) => { body += part; });
    request.on("end", () => {
      try {
        const { columns, values } = table(run(new URLSearchParams(body).get("sql") ?? ""));
        answer(200, "application/json", JSON.stringify({ OPT_STATUS: "SUCCESS", DESCRIPTION: "", result: { columns, values }, debug: null }));
      } catch (error) {
        answer(400, "application/json", JSON.stringify({ OPT_STATUS: "FAILED", DESCRIPTION: String(error), result: null, debug: null }));
      }
    });
    return undefined;
  });
  return new Promise((resolve) => {
    server.listen(port, "127.0.0.1", () => {
      const address = /** @type {import("node:net").AddressInfo} */ (server.address());
      resolve({ url: `http://127.0.0.1:${address.port}${base}`, close: () => { server.closeAllConnections(); server.close(); } });
    });
  });
}

/**
 * @param {string} path
 * @param {(status: number, type: string, body: string | Buffer) => void} answer
 */
function file(path, answer) {
  const name = normalize(join(UI, path));
  try {
    if (!name.startsWith(UI)) throw new Error("outside");
    answer(200, TYPES[extname(name)] ?? "application/octet-stream", readFileSync(name));
  } catch {
    answer(404, "text/plain", "not found");
  }
}

/**
 * Answers one of the pages' statements.
 * @param {string} text
 * @returns {Row[]}
 */
function run(text) {
  const name = /\/\* ui:([a-z]+)(?: `([a-z0-9_]+)`)? \*\/$/.exec(text);
  const answer = name && ANSWERS[name[1]];
  if (!answer) throw new Error("the mock knows the pages' statements only");
  grow();
  return answer(text, name[2] ?? "l7_flow_log");
}

function grow() {
  const now = Math.floor(Date.now() / 1000);
  const { requests, flows } = happened(store.until || now - KEPT_SECONDS, now, SCALE);
  store.requests = [...store.requests, ...requests].filter(({ time }) => time >= now - KEPT_SECONDS);
  store.flows = [...store.flows, ...flows].filter(({ time }) => time >= now - KEPT_SECONDS);
  store.until = now;
}

/** @type {Record<string, (text: string, table: string) => Row[]>} */
const ANSWERS = {
  series: (text) => groups(chosen(text), (row) => ({ bucket: bucket(row, text), name: text.includes("toString(l7_protocol) IN") ? String(row.l7_protocol) : server(row) }), (rows) => ({ ...counts(rows), newest: Math.max(...rows.map(({ time }) => time)) })),
  latency: (text) => groups(answered(chosen(text)), (row) => ({ bucket: bucket(row, text) }), times),
  services: (text) => groups(chosen(text), (row) => ({ service: server(row), app_protocol: row.l7_protocol, port: row.server_port }), counts).sort(by("requests")),
  percentiles: (text) => {
    const rows = answered(chosen(text));
    return [...groups(rows, (row) => ({ service: server(row), app_protocol: row.l7_protocol, whole: 0 }), times), { service: "", app_protocol: 0, whole: 1, ...times(rows) }];
  },
  endpoints: (text) => groups(chosen(text), (row) => ({ endpoint: row.endpoint, service: server(row), app_protocol: row.l7_protocol }), counts).sort(by(/ORDER BY errors/.test(text) ? "errors" : "requests")).slice(0, 15),
  errors: (text) => groups(chosen(text).filter(({ response_status }) => [2, 3, 4].includes(response_status)), (row) => ({ service: server(row), app_protocol: row.l7_protocol, status: row.response_status, code: row.response_code }),
    (rows) => ({ exception: rows[0].response_exception, request_type: rows[0].request_type, endpoint: rows[0].endpoint, rows: rows.length, last_us: Math.max(...rows.map(({ end_time }) => end_time)) })).sort(by("rows")),
  calls: (text) => groups(chosen(text), (row) => ({ client: client(row), server: server(row), client_is_process: Number(row.process_kname_0 !== ""), server_is_process: Number(row.process_kname_1 !== ""), app_protocol: row.l7_protocol, port: row.server_port }), counts).sort(by("requests")),
  histogram: (text, name) => groups(chosen(text, name), (row) => ({ bucket: bucket(row, text), status: name === "l7_flow_log" ? row.response_status : row.status }), (rows) => ({ rows: rows.length })),
  page,
  row: (text, name) => {
    const id = /toUInt64\('(\d+)'\)/.exec(text)?.[1];
    const found = (name === "l7_flow_log" ? store.requests : store.flows).find((row) => row._id === id);
    const columns = /** @type {Record<string, { columns: { name: string, type: string }[] }>} */ (TABLES)[name].columns;
    return found ? [Object.fromEntries(columns.map((column) => [`v_${column.name}`, found[column.name] ?? (/text|lowcard/.test(column.type) ? "" : 0)]))] : [];
  },
  same: (text) => {
    const seq = Number(/req_tcp_seq = (\d+)/.exec(text)?.[1] ?? -1);
    return store.requests.filter((row) => row.req_tcp_seq === seq).map(listed);
  },
  names: () => [{ agent: "web-1", client_host: "web-1", server_host: "web-1", client_command: "", server_command: "nginx: worker process" }],
  telemetry: (text) => spanOf(text).map((time) => ({ bucket: time, agent_id: 1, rss_bytes: 21e6 + (time % 90) * 1e4, cpu_ms: (time % 1e6) * 18, packets: (time % 1e6) * 900, events: (time % 1e6) * 700, samples: 1 })),
};

/**
 * A page of a log in its order, after its cursor.
 * @param {string} text
 * @param {string} name
 * @returns {Row[]}
 */
function page(text, name) {
  const key = /response_duration AS order_value/.test(text) ? "response_duration" : / duration AS order_value/.test(text) ? "duration" : "start_time";
  const descending = /ORDER BY order_value DESC/.test(text);
  const after = /[<>] (\d+) OR .* = \d+ AND _id [<>] toUInt64\('(\d+)'\)/.exec(text);
  const sign = descending ? -1 : 1;
  const compare = (/** @type {Row} */ left, /** @type {Row} */ right) => sign * (left[key] - right[key]) || sign * (BigInt(left._id) < BigInt(right._id) ? -1 : 1);
  const rows = chosen(text, name).sort(compare);
  const rest = after ? rows.filter((row) => compare(row, { [key]: Number(after[1]), _id: after[2] }) > 0 && row._id !== after[2]) : rows;
  return rest.slice(0, Number(/LIMIT (\d+) \/\*/.exec(text)?.[1] ?? 100)).map((row) => ({ ...listed(row), order_value: row[key] }));
}

/**
 * The rows that a statement's conditions leave.
 * @param {string} text
 * @param {string} [name]
 * @returns {Row[]}
 */
function chosen(text, name = "l7_flow_log") {
  const [from, to] = limitsOf(text);
  const point = /observation_point = '([^']*)'/.exec(text)?.[1];
  const number = (/** @type {RegExp} */ pattern) => { const match = pattern.exec(text); return match ? Number(match[1]) : null; };
  const [protocol, source, slower] = [number(/l7_protocol = (\d+)/), number(/signal_source = (\d+)/), number(/(?:response_)?duration >= (\d+)/)];
  const failed = /(?:response_status|status) IN \(2, 3, 4\)/.test(text) && !/ui:errors/.test(text);
  const searched = /positionCaseInsensitiveUTF8\(`request_resource`, '((?:[^'\\]|\\.)*)'\)/.exec(text)?.[1].replace(/\\(.)/g, "$1").toLowerCase();
  const ends = [...text.matchAll(/toString\(server_port\)\)\) = '([^']*)'|toString\(`ip6_0`\)\)\) = '([^']*)'/g)];
  const wanted = { server: ends.find((match) => match[1] !== undefined)?.[1], client: ends.find((match) => match[2] !== undefined)?.[2] };
  const part = /concat\(toString\(`process_kname_1`\), ' ', .*?\), '([^']*)'\) > 0/.exec(text)?.[1];
  const rows = (name === "l7_flow_log" ? store.requests : store.flows).filter((row) => row.time >= from && row.time < to
    && (!point || row.observation_point === point) && (protocol === null || row.l7_protocol === protocol) && (source === null || row.signal_source === source)
    && (slower === null || (row.response_duration ?? row.duration) >= slower) && (!failed || [2, 3, 4].includes(row.response_status ?? row.status))
    && (!searched || `${row.request_resource} ${row.endpoint} ${row.response_exception}`.toLowerCase().includes(searched))
    && (!wanted.server || server(row) === wanted.server) && (!wanted.client || client(row) === wanted.client) && (!part || row.process_kname_1.includes(part)));
  return /IN \(SELECT ip4_1/.test(text) ? once(rows) : rows;
}

/** @param {Row[]} rows */
function once(rows) {
  const best = new Map();
  const key = (/** @type {Row} */ row) => `${row.ip4_1} ${row.server_port} ${row.l7_protocol}`;
  for (const row of rows) best.set(key(row), Math.min(best.get(key(row)) ?? 99, RANKS.indexOf(row.observation_point)));
  return rows.filter((row) => best.get(key(row)) === RANKS.indexOf(row.observation_point));
}

/** @param {Row} row */
function listed(row) {
  return {
    ...row, point: row.observation_point, flow: row.flow_id, start_us: row.start_time, end_us: row.end_time, second: row.time, id: row._id, method: row.request_type,
    client: client(row), server: server(row), client_ip: row.ip4_0, server_ip: row.ip4_1, client_process: row.process_kname_0, server_process: row.process_kname_1,
  };
}

/** @param {Row[]} rows */
function counts(rows) {
  const done = answered(rows);
  return {
    requests: rows.length, errors: rows.filter(({ response_status }) => response_status === 3 || response_status === 4).length, timeouts: rows.filter(({ response_status }) => response_status === 2).length,
    rrt_sum_us: done.reduce((sum, row) => sum + row.response_duration, 0), rrt_samples: done.length, rrt_max_us: Math.max(0, ...done.map((row) => row.response_duration)),
  };
}

/** @param {Row[]} rows */
function times(rows) {
  const sorted = rows.map((row) => Number(row.response_duration)).sort((left, right) => left - right);
  const at = (/** @type {number} */ share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? null;
  return { samples: rows.length, avg_us: sorted.reduce((sum, each) => sum + each, 0) / Math.max(1, sorted.length), quantiles_us: [at(0.5), at(0.95), at(0.99)] };
}

/**
 * @param {Row[]} rows
 * @param {(row: Row) => Row} key
 * @param {(rows: Row[]) => Row} sums
 * @returns {Row[]}
 */
function groups(rows, key, sums) {
  /** @type {Map<string, Row[]>} */
  const out = new Map();
  for (const row of rows) {
    const name = JSON.stringify(key(row));
    const list = out.get(name);
    if (list) list.push(row);
    else out.set(name, [row]);
  }
  return [...out].map(([name, list]) => ({ ...JSON.parse(name), ...sums(list) }));
}

/** @param {Row[]} rows */
function table(rows) {
  const columns = Object.keys(rows[0] ?? {});
  return { columns, values: rows.map((row) => columns.map((name) => row[name] ?? null)) };
}

/** @param {string} text */
function stepOf(text) {
  return Number(/intDiv\(toUnixTimestamp\(time\), (\d+)\)/.exec(text)?.[1] ?? 1);
}

/** The span of a statement; minutes and seconds of a long one meet inside of it. @param {string} text */
function limitsOf(text) {
  const seconds = [...text.matchAll(/toDateTime\((\d+)\)/g)].map((match) => Number(match[1]));
  return [Math.min(...seconds), Math.max(...seconds)];
}

/** @param {string} text */
function spanOf(text) {
  const [from, to] = limitsOf(text);
  const step = stepOf(text);
  return Array.from({ length: Math.floor((to - from) / step) }, (_, index) => Math.floor(from / step) * step + index * step);
}

const bucket = (/** @type {Row} */ row, /** @type {string} */ text) => Math.floor(row.time / stepOf(text)) * stepOf(text);
const server = (/** @type {Row} */ row) => row.process_kname_1 || `${row.ip4_1}:${row.server_port}`;
const client = (/** @type {Row} */ row) => row.process_kname_0 || row.ip4_0;
const answered = (/** @type {Row[]} */ rows) => rows.filter(({ response_duration }) => response_duration > 0);
const by = (/** @type {string} */ name) => (/** @type {Row} */ left, /** @type {Row} */ right) => right[name] - left[name];

const AGENT = () => ({
  agent_id: 1, uuid: "00000000-0000-4000-8000-000000000001", hostname: "web-1", version: "0.1.0", kernel: "6.1.0", arch: "x86_64", os: "Debian 12", cpu_count: 2, memory_bytes: 8321499136,
  addresses: ["10.20.0.1"], host_id: 1, state: "connected", peer: "127.0.0.1:51344", first_seen_us: (store.until - 3600) * 1e6, last_seen_us: Date.now() * 1000,
});

function health() {
  const rows = store.requests.length;
  const metrics = {
    agent_packets_total: rows * 9, agent_socket_events_total: rows * 7, agent_memory_rss_bytes: 21e6, agent_flows: 12, agent_cpu_milliseconds_total: rows / 2,
    'agent_rows_observed_total{table="flow_log.l7_flow_log"}': rows + 67, 'agent_rows_acknowledged_total{table="flow_log.l7_flow_log"}': rows, agent_rows_waiting: 60,
  };
  const drops = Object.entries(/** @type {Record<string, any>} */ (DROPS)).map(([reason, { unit, stage, doc }]) => ({ reason, unit, stage, doc, count: reason === "queue_full" ? 7 : 0 }));
  return {
    server: { version: "0.1.0", started_us: (store.until - 3600) * 1e6, engine: { kind: "none", state: "ready", restarts: 0, detail: "mock" }, metrics: { 'server_rows_stored_total{table="flow_log.l7_flow_log"}': rows } },
    agents: [{ agent_id: 1, hostname: "web-1", state: "connected", reported_us: Date.now() * 1000, metrics, drops, problems: ["fentry is not available on this kernel: tracepoints are used"] }],
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { url } = await startMock(Number(process.argv[2] ?? 20499));
  console.log(url);
}
