// Names of what the store keeps as numbers. In: the generated labels. Out: names and descriptions.
// Never: a name of its own; schema/ has them all.

import { DROPS, ENUMS, METRICS, POINTS, PROTOCOLS, TABLES } from "../generated/labels.js";

/** @typedef {{ name: string, doc: string }} Label */
/** @typedef {{ name: string, type: string, doc: string }} ColumnLabel */

const enums = /** @type {Record<string, Record<number, Label>>} */ (ENUMS);
const protocols = /** @type {Record<number, string>} */ (PROTOCOLS);
const tables = /** @type {Record<string, { database: string, columns: ColumnLabel[] }>} */ (TABLES);
const drops = /** @type {Record<string, { id: number, unit: string, stage: string, doc: string }>} */ (DROPS);
const metrics = /** @type {Record<string, { kind: string, unit: string, doc: string }>} */ (METRICS);

/** Observation points in the order of a path from client to server. */
export const points = /** @type {Label[]} */ (POINTS);

/**
 * The name of an enumeration's value; the number where the schema has none.
 * @param {string} enumeration
 * @param {number | string} id
 */
export function enumName(enumeration, id) {
  return enums[enumeration]?.[Number(id)]?.name ?? String(id);
}

/**
 * What an enumeration's value means.
 * @param {string} enumeration
 * @param {number | string} id
 */
export function enumDoc(enumeration, id) {
  return enums[enumeration]?.[Number(id)]?.doc ?? "";
}

/**
 * All values of an enumeration, as choices.
 * @param {string} enumeration
 * @returns {{ value: string, label: string, doc: string }[]}
 */
export function enumChoices(enumeration) {
  return Object.entries(enums[enumeration] ?? {}).map(([id, { name, doc }]) => ({ value: id, label: name, doc }));
}

/** @param {number | string} id */
export function protocolName(id) {
  return protocols[Number(id)] ?? String(id);
}

/** @returns {{ value: string, label: string, doc: string }[]} */
export function protocolChoices() {
  return Object.entries(protocols).map(([id, name]) => ({ value: id, label: name, doc: "" }));
}

/** @param {string} name */
export function pointDoc(name) {
  return points.find((point) => point.name === name)?.doc ?? "";
}

/**
 * The columns of a table in the store's order.
 * @param {string} table
 */
export function columnsOf(table) {
  return tables[table]?.columns ?? [];
}

/**
 * What a reason of loss means.
 * @param {string} name
 */
export function drop(name) {
  return drops[name];
}

/** @param {string} name */
export function metric(name) {
  return metrics[name];
}
