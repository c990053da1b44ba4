// Filters of the logs. In: parameters of an address. Out: which filters exist, and their values
// checked and in the store's units. Never: SQL (queries/logs.js) or elements (filterbar.js).

import { enumChoices, pointDoc, points, protocolChoices } from "./labels.js";
import { ALL_POINTS, ONCE, ONCE_DOC } from "./queries/parts.js";

/** @typedef {{ value: string, label: string, doc?: string }} Choice */
/**
 * @typedef {object} Filter
 * @property {string} name parameter in the address
 * @property {string} label
 * @property {"choice" | "text"} kind
 * @property {() => Choice[]} [choices]
 * @property {string} [initial] value without a parameter
 * @property {string} [placeholder]
 * @property {string} [doc]
 * @property {boolean} [explained] `doc` can be opened, not only hovered
 * @property {boolean} [link] set by links only; shown as a chip when set
 */

const ANY = { value: "", label: "any" };

/** Value of the status filter that means timeouts and errors of either side. */
export const ERRORS = "errors";

/** @type {Filter} */
export const POINT_FILTER = {
  name: "point", label: "Seen at", kind: "choice", initial: ONCE, doc: ONCE_DOC, explained: true,
  choices: () => [
    { value: ONCE, label: "each request once", doc: ONCE_DOC },
    { value: ALL_POINTS, label: "all points" },
    ...points.map(({ name }) => ({ value: name, label: `${name} · ${pointDoc(name)}` })),
  ],
};

/** @type {Filter[]} */
const ENDS = [
  { name: "client", label: "Client", kind: "text", placeholder: "process or IP", doc: "Part of the client's process name or address; =name for exactly that." },
  { name: "server", label: "Server", kind: "text", placeholder: "process or IP", doc: "Part of the server's process name or address; =name for exactly that." },
  { name: "ip", label: "IP", kind: "text", placeholder: "either end", doc: "Address of either end, exactly." },
  { name: "port", label: "Port", kind: "text", placeholder: "any", doc: "Port of either end." },
];

/** @type {Filter} */
const SOURCE = { name: "source", label: "Source", kind: "choice", choices: () => [ANY, ...enumChoices("SignalSource")] };

/** @type {Filter} */
const PROTOCOL = { name: "protocol", label: "Protocol", kind: "choice", choices: () => [ANY, ...protocolChoices()] };

/** @type {Filter[]} */
export const REQUEST_FILTERS = [
  POINT_FILTER, SOURCE, PROTOCOL,
  { name: "status", label: "Status", kind: "choice", choices: () => [ANY, { value: ERRORS, label: "errors and timeouts" }, ...enumChoices("ResponseStatus")] },
  ...ENDS,
  { name: "text", label: "Text", kind: "text", placeholder: "resource, endpoint, domain, error", doc: "Part of the resource, endpoint, domain, command or error text; upper and lower case are the same." },
  { name: "slower", label: "Slower than", kind: "text", placeholder: "10ms", doc: "Response time at least this: 250us, 10ms, 1.5s; a bare number is milliseconds." },
  { name: "endpoint", label: "Endpoint", kind: "text", link: true },
  { name: "code", label: "Code", kind: "text", link: true },
  { name: "flow", label: "Flow", kind: "text", link: true },
  { name: "trace", label: "Trace", kind: "text", link: true },
  { name: "seq", label: "TCP sequence", kind: "text", link: true },
  { name: "thread", label: "System call trace", kind: "text", link: true },
];

/** @type {Filter[]} */
export const FLOW_FILTERS = [
  POINT_FILTER, SOURCE,
  { name: "transport", label: "Transport", kind: "choice", choices: () => [ANY, { value: "6", label: "TCP" }, { value: "17", label: "UDP" }, { value: "1", label: "ICMP" }] },
  PROTOCOL,
  { name: "status", label: "Status", kind: "choice", choices: () => [ANY, { value: ERRORS, label: "errors" }, ...enumChoices("FlowStatus")] },
  { name: "close", label: "Ended by", kind: "choice", choices: () => [ANY, ...enumChoices("CloseType")] },
  ...ENDS,
  { name: "text", label: "Domain", kind: "text", placeholder: "part of the domain" },
  { name: "slower", label: "Longer than", kind: "text", placeholder: "10ms", doc: "Age of the flow at least this: 250us, 10ms, 1.5s; a bare number is milliseconds." },
  { name: "flow", label: "Flow", kind: "text", link: true },
];

/**
 * Values of the filters that are set, and what is wrong with the others.
 * @param {Filter[]} filters
 * @param {Record<string, string>} params
 * @returns {{ values: Record<string, string>, problems: Record<string, string> }}
 */
export function readFilters(filters, params) {
  /** @type {Record<string, string>} */
  const values = {};
  /** @type {Record<string, string>} */
  const problems = {};
  for (const { name, initial } of filters) {
    const value = (params[name] ?? initial ?? "").trim();
    if (value === "") continue;
    const problem = check(name, value);
    if (problem) problems[name] = problem;
    else values[name] = value;
  }
  return { values, problems };
}

/**
 * Microseconds of "250us", "10ms", "1.5s", "2m" or a bare number of milliseconds.
 * @param {string} text
 * @returns {number | null}
 */
export function parseDuration(text) {
  const match = /^(\d+(?:\.\d+)?)\s*(us|µs|ms|s|m|min)?$/i.exec(text.trim());
  if (!match) return null;
  const unit = { us: 1, "µs": 1, ms: 1e3, s: 1e6, m: 60e6, min: 60e6 }[(match[2] ?? "ms").toLowerCase()];
  return unit === undefined ? null : Math.round(Number(match[1]) * unit);
}

/** Filters that are numbers, with their largest value. */
const NUMBERS = /** @type {Record<string, bigint>} */ ({
  source: 255n, protocol: 255n, transport: 255n, close: 65535n, port: 65535n,
  seq: 0xffffffffn, flow: 0xffffffffffffffffn, thread: 0xffffffffffffffffn,
});

/**
 * What is wrong with a value; "" = nothing.
 * @param {string} name
 * @param {string} value
 */
function check(name, value) {
  if (name in NUMBERS) {
    return /^\d{1,20}$/.test(value) && BigInt(value) <= NUMBERS[name] ? "" : `a number from 0 to ${NUMBERS[name]}`;
  }
  if (name === "status") return value === ERRORS || /^\d{1,3}$/.test(value) ? "" : "not a status";
  if (name === "code") return /^-?\d{1,10}$/.test(value) ? "" : "a number";
  if (name === "slower") return parseDuration(value) === null ? "a duration such as 10ms" : "";
  if (name === "ip") return /^[0-9a-fA-F:.]{2,45}$/.test(value) ? "" : "an IPv4 or IPv6 address";
  return "";
}
