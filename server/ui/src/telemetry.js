// Reads what agents and the server say of themselves. In: documents of v1/agents and v1/health.
// Out: sums by table and the conservation identity. Pure.

/** @typedef {Record<string, number>} Metrics by name with tags, as `agent_rows_observed_total{table="…"}` */
/** @typedef {{ reason: string, count: number, unit: string, stage: string, doc: string }} Drop */
/** @typedef {{ name: string, tags: Record<string, string>, value: number }} Sample */
/** @typedef {{ observed: number, stored: number, waiting: number, dropped: number, missing: number }} Balance */

/**
 * Takes a metric's name and tags apart.
 * @param {string} key
 * @param {number} value
 * @returns {Sample}
 */
export function sample(key, value) {
  const brace = key.indexOf("{");
  if (brace < 0) return { name: key, tags: {}, value };
  /** @type {Record<string, string>} */
  const tags = {};
  for (const [, name, text] of key.slice(brace).matchAll(/([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"/g)) {
    tags[name] = text.replace(/\\(.)/g, (_, char) => (char === "n" ? "\n" : char));
  }
  return { name: key.slice(0, brace), tags, value };
}

/**
 * All samples of a metric.
 * @param {Metrics} metrics
 * @param {string} name
 * @returns {Sample[]}
 */
export function samplesOf(metrics, name) {
  return Object.entries(metrics ?? {}).map(([key, value]) => sample(key, Number(value))).filter((each) => each.name === name);
}

/**
 * The sum of a metric over its tags; `null` where it was not reported.
 * @param {Metrics} metrics
 * @param {string} name
 * @returns {number | null}
 */
export function sumOf(metrics, name) {
  const found = samplesOf(metrics, name);
  return found.length > 0 ? found.reduce((sum, { value }) => sum + value, 0) : null;
}

/**
 * The sum of a metric by one tag.
 * @param {Metrics} metrics
 * @param {string} name
 * @param {string} tag
 * @returns {Map<string, number>}
 */
export function byTag(metrics, name, tag) {
  /** @type {Map<string, number>} */
  const out = new Map();
  for (const { tags, value } of samplesOf(metrics, name)) out.set(tags[tag] ?? "", (out.get(tags[tag] ?? "") ?? 0) + value);
  return out;
}

/** A batch sent twice was stored once: no row is lost by it. */
const NOT_A_LOSS = new Set(["batch_duplicate"]);

/**
 * observed = stored + waiting + dropped, in rows. What is missing is on its way between two
 * reports, or lost without a reason.
 * @param {Metrics} metrics of one agent
 * @param {Drop[]} drops
 * @returns {Balance}
 */
export function balance(metrics, drops) {
  const observed = sumOf(metrics, "agent_rows_observed_total") ?? 0;
  const stored = sumOf(metrics, "agent_rows_acknowledged_total") ?? 0;
  const waiting = sumOf(metrics, "agent_rows_waiting") ?? 0;
  const dropped = drops.filter(({ unit, reason }) => unit === "row" && !NOT_A_LOSS.has(reason)).reduce((sum, { count }) => sum + Number(count), 0);
  return { observed, stored, waiting, dropped, missing: observed - stored - waiting - dropped };
}

/**
 * Rates per second of a counter from its values by bucket; a restart (value falls) counts from 0.
 * @param {(number | null)[]} values
 * @param {number} step seconds between buckets
 * @returns {(number | null)[]}
 */
export function ratesOf(values, step) {
  let last = /** @type {number | null} */ (null);
  let passed = 0;
  return values.map((value) => {
    passed += step;
    if (value === null) return null;
    const grown = last === null ? null : value >= last ? value - last : value;
    const rate = grown === null ? null : grown / passed;
    last = value;
    passed = 0;
    return rate;
  });
}
