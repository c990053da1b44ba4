// Numbers, times and addresses as people read them. In: raw values. Out: text.
// Never: markup, rounding that hides a value other than zero behind "0".

const NONE = "–";

/**
 * Whole numbers with separators; short forms from a million on.
 * @param {number | null | undefined} value
 */
export function count(value) {
  if (!isNumber(value)) return NONE;
  if (Math.abs(value) < 1e6) return Math.round(value).toLocaleString("en-US");
  const [factor, letter] = Math.abs(value) < 1e9 ? [1e6, "M"] : [1e9, "G"];
  return `${digits(value / Number(factor))} ${letter}`;
}

/**
 * A rate per second.
 * @param {number | null | undefined} value
 */
export function rate(value) {
  if (!isNumber(value)) return NONE;
  if (value >= 1e6) return `${digits(value / 1e6)} M/s`;
  if (value >= 1e4) return `${digits(value / 1e3)} k/s`;
  return `${digits(value)}/s`;
}

/**
 * Microseconds as µs, ms, s or minutes.
 * @param {number | null | undefined} us
 */
export function duration(us) {
  if (!isNumber(us)) return NONE;
  if (us < 1000) return `${us > 0 && us < 1 ? digits(us) : Math.round(us)} µs`;
  if (us < 1e6) return `${digits(us / 1e3)} ms`;
  if (us < 120e6) return `${digits(us / 1e6)} s`;
  if (us < 7200e6) return `${Math.floor(us / 60e6)} min ${Math.round((us % 60e6) / 1e6)} s`;
  return us < 172800e6 ? `${digits(us / 3600e6)} h` : `${digits(us / 86400e6)} d`;
}

/**
 * Bytes in binary units.
 * @param {number | null | undefined} value
 */
export function bytes(value) {
  if (!isNumber(value)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let scaled = value;
  let unit = 0;
  while (Math.abs(scaled) >= 1024 && unit < units.length - 1) {
    scaled /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(scaled) : digits(scaled)} ${units[unit]}`;
}

/**
 * A share as percent; a share above zero never reads "0 %".
 * @param {number | null | undefined} share between 0 and 1
 */
export function percent(share) {
  if (!isNumber(share)) return NONE;
  const value = share * 100;
  if (value === 0) return "0 %";
  if (value < 0.01) return "< 0.01 %";
  if (value > 99.99 && value < 100) return "> 99.99 %";
  return `${value < 10 ? trim(value.toFixed(2)) : trim(value.toFixed(1))} %`;
}

/**
 * Local wall time of day to the millisecond, from microseconds since the epoch.
 * @param {number} us
 */
export function timeOfDay(us) {
  const date = new Date(us / 1000);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/**
 * Local date and time to the microsecond.
 * @param {number} us microseconds since the epoch
 */
export function dateTime(us) {
  const date = new Date(us / 1000);
  const micros = String(Math.floor(us % 1e6)).padStart(6, "0");
  return `${isoDay(date)} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${micros}`;
}

/**
 * Local date and time to the second, as `<input type=datetime-local>` wants it.
 * @param {number} seconds since the epoch
 */
export function localInput(seconds) {
  const date = new Date(seconds * 1000);
  return `${isoDay(date)}T${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/**
 * How long ago, in words.
 * @param {number} seconds
 */
export function age(seconds) {
  if (seconds < 1.5) return "1 s ago";
  if (seconds < 120) return `${Math.round(seconds)} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}

/**
 * A MAC address from its number; `null` for none.
 * @param {string | number} value
 */
export function mac(value) {
  const hex = BigInt(value).toString(16).padStart(12, "0").slice(-12);
  return hex.match(/../g)?.join(":") ?? NONE;
}

/**
 * TCP flags by name.
 * @param {number} bits
 */
export function tcpFlags(bits) {
  const names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS"];
  return names.filter((_, bit) => (bits >> bit) & 1).join(" ") || NONE;
}

/**
 * Address and port; IPv6 in brackets.
 * @param {string} ip
 * @param {number} port 0 = none
 */
export function address(ip, port) {
  if (!port) return ip;
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/**
 * IP protocol number by name.
 * @param {number} number
 */
export function ipProtocol(number) {
  return /** @type {Record<number, string>} */ ({ 1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 132: "SCTP" })[number] ?? String(number);
}

/** @param {unknown} value @returns {value is number} */
function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** Three significant digits without trailing zeros. @param {number} value */
function digits(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 0.01) return "< 0.01";
  if (size >= 999.5) return Math.round(value).toLocaleString("en-US");
  return trim(value.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0));
}

/** @param {string} text */
function trim(text) {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** @param {number} value */
function two(value) {
  return String(value).padStart(2, "0");
}

/** @param {Date} date */
function isoDay(date) {
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
