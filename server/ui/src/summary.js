// Sums of the overview. In: rows of the series and latency statements. Out: what charts and tiles
// show. Pure: the span carries the time.

import { buckets, elapsedSeconds } from "./range.js";

/** @typedef {import("./api.js").Row} Row */
/** @typedef {import("./range.js").Span} Span */
/** @typedef {import("./chart.js").Series} Series */

/** @typedef {{ requests: number, errors: number, timeouts: number, rrtSumUs: number, rrtSamples: number, rrtMaxUs: number }} Counts */

/**
 * Adds rows up.
 * @param {Row[]} rows
 * @returns {Counts}
 */
export function totals(rows) {
  const out = { requests: 0, errors: 0, timeouts: 0, rrtSumUs: 0, rrtSamples: 0, rrtMaxUs: 0 };
  for (const row of rows) {
    out.requests += Number(row.requests);
    out.errors += Number(row.errors);
    out.timeouts += Number(row.timeouts);
    out.rrtSumUs += Number(row.rrt_sum_us);
    out.rrtSamples += Number(row.rrt_samples);
    out.rrtMaxUs = Math.max(out.rrtMaxUs, Number(row.rrt_max_us));
  }
  return out;
}

/**
 * Mean response time: sum by samples, never a mean of means.
 * @param {Counts} counts
 * @returns {number | null}
 */
export function meanUs(counts) {
  return counts.rrtSamples > 0 ? counts.rrtSumUs / counts.rrtSamples : null;
}

/**
 * Seconds of a span that have passed.
 * @param {Span} span
 */
export function spanSeconds(span) {
  return Math.max(1, (span.live ? span.now : span.to) - span.from);
}

/**
 * Rates by bucket, one series a name, busiest first. Buckets that have not begun are left out.
 * @param {Row[]} rows
 * @param {Span} span
 * @param {(row: Row) => number} value
 * @param {(name: string) => string} label
 * @param {(name: string) => string | undefined} [tone]
 * @returns {{ times: number[], series: Series[] }}
 */
export function rates(rows, span, value, label, tone = () => undefined) {
  const times = buckets(span).filter((start) => elapsedSeconds(span, start) > 0);
  const index = new Map(times.map((start, position) => [start, position]));
  /** @type {Map<string, number[]>} */
  const sums = new Map();
  /** @type {Map<string, string | undefined>} */
  const tones = new Map();
  for (const row of rows) {
    const at = index.get(Number(row.bucket));
    if (at === undefined) continue;
    const name = label(String(row.name));
    let values = sums.get(name);
    if (!values) {
      sums.set(name, values = times.map(() => 0));
      tones.set(name, tone(String(row.name)));
    }
    values[at] += value(row);
  }
  const series = [...sums].map(([name, values]) => ({
    label: name,
    tone: tones.get(name),
    values: values.map((sum, position) => sum / elapsedSeconds(span, times[position])),
  }));
  const weight = (/** @type {Series} */ { values }) => values.reduce((/** @type {number} */ sum, each) => sum + (each ?? 0), 0);
  return { times, series: series.sort((left, right) => weight(right) - weight(left) || left.label.localeCompare(right.label)) };
}

/**
 * Mean and percentiles of the response time by bucket; null where nothing was measured.
 * @param {Row[]} rows
 * @param {Span} span
 * @returns {{ times: number[], series: Series[] }}
 */
export function latencies(rows, span) {
  const times = buckets(span).filter((start) => elapsedSeconds(span, start) > 0);
  const byBucket = new Map(rows.map((row) => [Number(row.bucket), row]));
  /** @param {(row: Row) => number} value */
  const pick = (value) => times.map((start) => {
    const row = byBucket.get(start);
    return row ? Number(value(row)) : null;
  });
  return {
    times,
    series: [
      { label: "p50", values: pick((row) => row.quantiles_us[0]) },
      { label: "avg", values: pick((row) => row.avg_us) },
      { label: "p95", values: pick((row) => row.quantiles_us[1]) },
      { label: "p99", values: pick((row) => row.quantiles_us[2]) },
    ],
  };
}
