// Time ranges. In: the text of a range in the address, the time now. Out: seconds since the epoch.
// Never: reads a clock; `now` is an argument.

/**
 * The last `seconds`, or a fixed span of [from, to] in seconds since the epoch.
 * @typedef {{ kind: "last", seconds: number } | { kind: "fixed", from: number, to: number }} Range
 */

/**
 * A range at a moment. `from` is inclusive, `to` exclusive, in seconds; `step` is the bucket width.
 * @typedef {{ from: number, to: number, step: number, live: boolean, now: number }} Span
 */

/** @type {{ text: string, label: string }[]} */
export const CHOICES = [
  { text: "5m", label: "Last 5 minutes" },
  { text: "15m", label: "Last 15 minutes" },
  { text: "1h", label: "Last hour" },
  { text: "6h", label: "Last 6 hours" },
  { text: "24h", label: "Last 24 hours" },
];

export const DEFAULT_RANGE = "15m";

const UNIT_SECONDS = /** @type {Record<string, number>} */ ({ s: 1, m: 60, h: 3600, d: 86400 });

/** Widths of a bucket that clocks show well, in seconds. */
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400];

/** Buckets that a chart aims at, at most. */
const BUCKETS = 180;

const LONGEST_SECONDS = 31 * 86400;

/**
 * Reads "15m" or "1700000000-1700000600"; anything else is the default.
 * @param {string | undefined} text
 * @returns {Range}
 */
export function parseRange(text) {
  const last = /^(\d{1,6})([smhd])$/.exec(text ?? "");
  if (last) {
    const seconds = Number(last[1]) * UNIT_SECONDS[last[2]];
    if (seconds > 0) return { kind: "last", seconds: Math.min(seconds, LONGEST_SECONDS) };
  }
  const fixed = /^(\d{1,11})-(\d{1,11})$/.exec(text ?? "");
  if (fixed && Number(fixed[1]) < Number(fixed[2])) {
    return { kind: "fixed", from: Number(fixed[1]), to: Number(fixed[2]) };
  }
  return parseRange(DEFAULT_RANGE);
}

/**
 * The text that `parseRange` reads back.
 * @param {Range} range
 */
export function formatRange(range) {
  if (range.kind === "fixed") return `${range.from}-${range.to}`;
  for (const unit of ["d", "h", "m"]) {
    const width = UNIT_SECONDS[unit];
    if (range.seconds % width === 0 && (unit !== "d" || range.seconds > width)) return `${range.seconds / width}${unit}`;
  }
  return `${range.seconds}s`;
}

/**
 * Fixes a range at a moment.
 * @param {Range} range
 * @param {number} nowSeconds
 * @returns {Span}
 */
export function resolve(range, nowSeconds) {
  const now = Math.floor(nowSeconds);
  if (range.kind === "fixed") {
    return { from: range.from, to: range.to, step: stepFor(range.to - range.from), live: false, now };
  }
  const step = stepFor(range.seconds);
  // Buckets keep their borders while time goes on, so that a chart moves and does not flicker.
  return { from: Math.floor((now - range.seconds) / step) * step, to: now + 1, step, live: true, now };
}

/**
 * The smallest width that gives at most `BUCKETS` buckets.
 * @param {number} seconds
 */
export function stepFor(seconds) {
  return STEPS.find((step) => seconds / step <= BUCKETS) ?? STEPS[STEPS.length - 1];
}

/**
 * Seconds between refreshes of a live range: fresh where it is short, cheap where it is long.
 * @param {Span} span
 */
export function refreshSeconds(span) {
  const width = span.to - span.from;
  if (width <= 1000) return 1;
  return width <= 4000 ? 2 : 5;
}

/**
 * Starts of all buckets of a span, in seconds.
 * @param {Span} span
 * @returns {number[]}
 */
export function buckets(span) {
  const out = [];
  const first = Math.floor(span.from / span.step) * span.step;
  for (let start = first; start < span.to; start += span.step) out.push(start);
  return out;
}

/**
 * Seconds of a bucket that have passed: the divisor of a rate. The newest second is still being
 * collected and does not count; 0 means that nothing of the bucket has passed.
 * @param {Span} span
 * @param {number} start
 */
export function elapsedSeconds(span, start) {
  const end = Math.min(start + span.step, span.live ? span.now - 1 : span.to);
  return Math.max(0, end - Math.max(start, span.live ? start : span.from));
}
