// Rows as the store has them, made from a small imaginary host. In: a span of seconds.
// Out: request logs, flow logs and metrics that agree with each other: each request of two local
// processes appears at c-p, s-p and local. Never: what a real agent reported.

/** @typedef {Record<string, any>} Row */
/**
 * @typedef {object} Call
 * @property {string} client process name, "" = remote
 * @property {string} clientIp
 * @property {string} server process name, "" = remote
 * @property {string} serverIp
 * @property {number} port
 * @property {number} l7
 * @property {number} transport
 * @property {number} rate requests per second
 * @property {number} us typical response time
 * @property {[method: string, domain: string, resource: string, endpoint: string][]} requests
 * @property {[status: number, code: number, exception: string, share: number][]} failures
 */

export const HOSTILE = "/search?q=<img src=x onerror=alert(1)>";

const HOST = "127.0.0.1";
const PIDS = /** @type {Record<string, number>} */ ({ nginx: 812, shop: 2301, "redis-server": 640, mariadbd: 701, postgres: 733, named: 590, curl: 9001, wrk: 9100 });

/** @type {Call[]} */
const CALLS = [
  {
    client: "wrk", clientIp: HOST, server: "nginx", serverIp: HOST, port: 80, l7: 20, transport: 6, rate: 9, us: 2400,
    requests: [["GET", "shop.test", "/", "/"], ["GET", "shop.test", "/items/4711?sort=price", "/items"], ["POST", "shop.test", "/cart", "/cart"], ["GET", "shop.test", HOSTILE, "/search"]],
    failures: [[4, 404, "", 0.02], [3, 502, "", 0.01]],
  },
  {
    client: "", clientIp: "10.20.0.5", server: "nginx", serverIp: "10.20.0.1", port: 80, l7: 20, transport: 6, rate: 2, us: 3900,
    requests: [["GET", "shop.example", "/items/12", "/items"], ["GET", "shop.example", "/favicon.ico", "/favicon.ico"]],
    failures: [[4, 403, "", 0.03]],
  },
  {
    client: "nginx", clientIp: HOST, server: "shop", serverIp: HOST, port: 8080, l7: 20, transport: 6, rate: 8, us: 2100,
    requests: [["GET", "127.0.0.1:8080", "/items/4711?sort=price", "/items"], ["POST", "127.0.0.1:8080", "/cart", "/cart"]],
    failures: [[3, 500, "", 0.012]],
  },
  {
    client: "shop", clientIp: HOST, server: "redis-server", serverIp: HOST, port: 6379, l7: 80, transport: 6, rate: 14, us: 70,
    requests: [["GET", "", "GET item:4711", "GET"], ["SETEX", "", "SETEX cart:8 60 ?", "SETEX"], ["HGETALL", "", "HGETALL session:77", "HGETALL"]],
    failures: [[3, -1, "ERR unknown command 'FOO'", 0.01]],
  },
  {
    client: "shop", clientIp: HOST, server: "mariadbd", serverIp: HOST, port: 3306, l7: 60, transport: 6, rate: 4, us: 1300,
    requests: [["COM_QUERY", "", "SELECT * FROM items WHERE id = ?", "SELECT items"], ["COM_STMT_EXECUTE", "", "INSERT INTO carts VALUES (?, ?)", "INSERT carts"]],
    failures: [[4, 1146, "Table 'shop.itms' doesn't exist", 0.02]],
  },
  {
    client: "shop", clientIp: HOST, server: "postgres", serverIp: HOST, port: 5432, l7: 61, transport: 6, rate: 2, us: 5200,
    requests: [["QUERY", "", "SELECT sum(total) FROM orders WHERE day = $1", "SELECT orders"]],
    failures: [[4, 42601, "syntax error at or near \"FORM\"", 0.03]],
  },
  {
    client: "shop", clientIp: HOST, server: "named", serverIp: HOST, port: 53, l7: 120, transport: 17, rate: 1, us: 420,
    requests: [["A", "api.example", "api.example", "api.example"], ["AAAA", "missing.example", "missing.example", "missing.example"]],
    failures: [[4, 3, "Non-Existent Domain", 0.2], [2, 0, "", 0.01]],
  },
  {
    client: "curl", clientIp: "10.20.0.1", server: "", serverIp: "203.0.113.9", port: 80, l7: 20, transport: 6, rate: 0.3, us: 84000,
    requests: [["GET", "mirror.example", "/release.txt", "/release.txt"]],
    failures: [[3, 503, "", 0.1]],
  },
];

/**
 * Everything that "happened" in [from, to).
 * @param {number} from seconds since the epoch
 * @param {number} to
 * @param {number} [scale] of the number of requests
 * @returns {{ requests: Row[], flows: Row[], metrics: Row[] }}
 */
export function happened(from, to, scale = 1) {
  /** @type {Row[]} */
  const requests = [];
  /** @type {Row[]} */
  const flows = [];
  for (let second = from; second < to; second += 1) {
    CALLS.forEach((call, index) => {
      const random = randomOf(7919 + second * 31 + index);
      const wave = 1 + 0.4 * Math.sin(second / 97 + index);
      const number = Math.floor(call.rate * scale * wave + random());
      for (let each = 0; each < number; each += 1) requests.push(...request(call, second, random));
      if (second % 5 === index % 5) flows.push(...flow(call, second, number * 5, random));
    });
  }
  return { requests, flows, metrics: metricsOf(requests) };
}

/**
 * The rows of one request at each point that sees it.
 * @param {Call} call
 * @param {number} second
 * @param {() => number} random
 * @returns {Row[]}
 */
function request(call, second, random) {
  const [method, domain, resource, endpoint] = call.requests[Math.floor(random() * call.requests.length)];
  const failure = call.failures.find(() => random() < call.failures[0][3] + 0.005 && random() < 0.8);
  const tail = random();
  const us = Math.round(call.us * (0.6 + random()) * (tail > 0.98 ? 9 : tail > 0.9 ? 2.5 : 1));
  const status = failure ? failure[0] : 0;
  const startUs = second * 1e6 + Math.floor(random() * 9e5);
  const seq = call.transport === 6 ? 1 + Math.floor(random() * 4294967294) : 0;
  const base = {
    ...ends(call, random), l7_protocol: call.l7, version: call.l7 === 20 ? "1.1" : "", type: status === 2 ? 0 : 2,
    request_type: method, request_domain: domain, request_resource: resource, endpoint,
    request_id: call.l7 === 120 ? Math.floor(random() * 65535) : null,
    response_status: status, response_code: status === 2 ? null : failure ? failure[1] : call.l7 === 20 ? 200 : 0,
    response_exception: failure ? failure[2] : "",
    request_length: 80 + Math.floor(random() * 400), response_length: status === 2 ? null : 120 + Math.floor(random() * 9000),
    req_tcp_seq: seq, resp_tcp_seq: seq ? (seq ^ 0x5f5f5f5f) >>> 0 : 0,
    trace_id: call.l7 === 20 && call.server === "shop" ? hex(random, 32) : "",
    captured_request_byte: 240, captured_response_byte: 512, direction_score: 255,
  };
  return pointsOf(call).map(({ point, source }, index) => {
    const lag = index * 15;
    const duration = status === 2 ? 0 : Math.max(1, us - lag * 2);
    const end = startUs + lag + duration;
    return {
      ...base, observation_point: point, signal_source: source, capture_nic: source === 3 ? 0 : 1,
      time: Math.floor(end / 1e6), start_time: startUs + lag, end_time: end, response_duration: duration,
      syscall_trace_id_request: source === 3 ? String(1000000 + Math.floor(startUs / 1000) % 900000) : "0",
      _id: rowId(Math.floor(end / 1e6)),
    };
  });
}

/**
 * @param {Call} call
 * @param {number} second
 * @param {number} number
 * @param {() => number} random
 * @returns {Row[]}
 */
function flow(call, second, number, random) {
  const close = call.transport === 17 ? 0 : random() > 0.96 ? 15 : random() > 0.9 ? 5 : 1;
  return pointsOf(call).filter(({ source }) => source === 0).map(({ point, source }) => ({
    ...ends(call, random), time: second, start_time: second * 1e6 - 4900000, end_time: second * 1e6, duration: 4900000,
    observation_point: point, signal_source: source, capture_nic: 1, eth_type: 0x0800,
    mac_0: "2485377957889", mac_1: "2485377957890", tcp_flags_bit_0: call.transport === 6 ? 0x1b : 0, tcp_flags_bit_1: call.transport === 6 ? 0x1b : 0,
    l7_protocol: call.l7, close_type: close, status: close === 15 ? 3 : 0, is_new_flow: 1,
    packet_tx: number * 3 + 4, packet_rx: number * 3 + 3, byte_tx: number * 420 + 280, byte_rx: number * 4100 + 230,
    rtt: call.transport === 6 ? 40 + Math.floor(random() * 400) : 0, rtt_client: 12, rtt_server: 30,
    srt_sum: number * 40, srt_count: number, art_sum: number * call.us, art_count: number,
    retrans_tx: random() > 0.97 ? 2 : 0, l7_request: number, l7_response: number, syn_count: 1, synack_count: 1,
    _id: rowId(second),
  }));
}

/**
 * @param {Call} call
 * @param {() => number} random
 * @returns {Row}
 */
function ends(call, random) {
  return {
    ip4_0: call.clientIp, ip4_1: call.serverIp, is_ipv4: 1, protocol: call.transport, agent_id: 1, capture_network_type_id: 3,
    client_port: 32768 + Math.floor(random() * 28000), server_port: call.port, flow_id: String(7e18 + Math.floor(random() * 1e6)),
    process_id_0: PIDS[call.client] ?? 0, process_id_1: PIDS[call.server] ?? 0,
    process_kname_0: call.client, process_kname_1: call.server,
  };
}

/** @param {Call} call */
function pointsOf(call) {
  const client = { point: "c-p", source: 3 };
  const server = { point: "s-p", source: 3 };
  if (call.client && call.server) return [client, { point: "local", source: 0 }, server];
  return call.server ? [{ point: "s", source: 0 }, server] : [client, { point: "c", source: 0 }];
}

/**
 * Metrics by the second between two ends, as the agent computes them.
 * @param {Row[]} requests
 * @returns {Row[]}
 */
function metricsOf(requests) {
  /** @type {Map<string, Row>} */
  const out = new Map();
  for (const row of requests) {
    const names = ["time", "ip4_0", "ip4_1", "server_port", "observation_point", "l7_protocol", "endpoint", "process_kname_0", "process_kname_1"];
    const key = names.map((name) => row[name]).join("|");
    const sum = out.get(key) ?? {
      ...Object.fromEntries(names.map((name) => [name, row[name]])),
      is_ipv4: 1, protocol: row.protocol, agent_id: 1, signal_source: row.signal_source, process_id_0: row.process_id_0, process_id_1: row.process_id_1,
      request: 0, response: 0, client_error: 0, server_error: 0, timeout: 0, error: 0, rrt_sum: 0, rrt_count: 0, rrt_max: 0,
    };
    sum.request += 1;
    if (row.response_status === 2) sum.timeout += 1;
    else {
      sum.response += 1;
      sum.rrt_sum += row.response_duration;
      sum.rrt_count += 1;
      sum.rrt_max = Math.max(sum.rrt_max, row.response_duration);
      if (row.response_status === 3) sum.server_error += 1;
      if (row.response_status === 4) sum.client_error += 1;
      sum.error = sum.client_error + sum.server_error;
    }
    out.set(key, sum);
  }
  return [...out.values()];
}

let rows = 0;

/** @param {number} second */
function rowId(second) {
  rows += 1;
  return ((BigInt(second) << 32n) | (1n << 22n) | BigInt(rows & 0x3fffff)).toString();
}

/**
 * Small repeatable random numbers in [0, 1) (mulberry32).
 * @param {number} seed
 */
function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * @param {() => number} random
 * @param {number} length
 */
function hex(random, length) {
  return Array.from({ length }, () => Math.floor(random() * 16).toString(16)).join("");
}
