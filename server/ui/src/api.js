// The server's HTTP interface. In: statements and paths. Out: rows as objects, JSON as it is.
// Never: an absolute address; everything is relative to the page, so any base path works.

/** @typedef {Record<string, any>} Row */
/** @typedef {{ columns: string[], rows: Row[] }} Result */

/** What went wrong, in words for the person at the screen. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} status HTTP status; 0 = the server did not answer
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const DATABASE = "flow_log";

/** A difference of clocks below this is the resolution of the Date header and the way. */
const CLOCK_TOLERANCE_SECONDS = 2;

let clockOffsetSeconds = 0;

/** The server's time: ranges are about its data, and browsers' clocks go wrong. */
export function clockSeconds() {
  return Date.now() / 1000 + clockOffsetSeconds;
}

/**
 * Runs one SELECT.
 * @param {import("./sql.js").Sql} statement
 * @param {AbortSignal} [signal]
 * @returns {Promise<Result>}
 */
export async function query(statement, signal) {
  const body = new URLSearchParams({ db: DATABASE, sql: statement.text });
  const answer = await request("v1/query/", { method: "POST", body, signal });
  if (answer.OPT_STATUS !== "SUCCESS") throw new ApiError(answer.DESCRIPTION || "the query failed", 200);
  const columns = /** @type {string[]} */ (answer.result?.columns ?? []);
  const values = /** @type {any[][]} */ (answer.result?.values ?? []);
  return {
    columns,
    rows: values.map((line) => Object.fromEntries(columns.map((name, index) => [name, line[index]]))),
  };
}

/**
 * Reads a JSON document of the server.
 * @param {string} path relative to the page
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export function getJson(path, signal) {
  return request(path, { signal });
}

/**
 * @param {string} path
 * @param {RequestInit} init
 * @returns {Promise<any>}
 */
async function request(path, init) {
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), { credentials: "same-origin", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer. Is deepflow-server running, and is the network up?", 0);
  }
  followClock(response.headers.get("date"));
  const text = await response.text();
  const answer = parse(text);
  if (!response.ok) {
    throw new ApiError(answer?.DESCRIPTION || answer?.error || text.slice(0, 300) || response.statusText, response.status);
  }
  if (answer === undefined) throw new ApiError(`The server's answer to ${path} is not JSON.`, response.status);
  return answer;
}

/** @param {string | null} date header of an answer */
function followClock(date) {
  const offset = date ? new Date(date).getTime() / 1000 - Date.now() / 1000 : 0;
  clockOffsetSeconds = Math.abs(offset) > CLOCK_TOLERANCE_SECONDS ? offset : 0;
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
