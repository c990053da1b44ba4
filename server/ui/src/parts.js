// Small pieces that several pages show. In: values. Out: elements.

import { h, svg } from "./dom.js";
import * as format from "./format.js";
import { enumDoc, enumName, pointDoc, protocolName } from "./labels.js";
import { href } from "./router.js";

/** @typedef {import("./dom.js").Child} Child */

/** How a status is coloured. */
const STATUS_TONES = /** @type {Record<number, string>} */ ({ 0: "ok", 2: "s5", 3: "bad", 4: "warn", 5: "", 6: "warn" });

/**
 * The colour of a status.
 * @param {number | string} id
 */
export function statusTone(id) {
  return STATUS_TONES[Number(id)] || "muted";
}

/**
 * @param {"ResponseStatus" | "FlowStatus"} enumeration
 * @param {number} id
 */
export function statusBadge(enumeration, id) {
  return h("span", { class: `badge ${STATUS_TONES[Number(id)] ?? ""}`, title: enumDoc(enumeration, id) }, enumName(enumeration, id));
}

/** @param {number} id */
export function protocolBadge(id) {
  return h("span", { class: "badge protocol" }, protocolName(id));
}

/** @param {string} point */
export function pointBadge(point) {
  return h("span", { class: "badge", title: pointDoc(point) }, point);
}

/**
 * A bar for a share of the largest value.
 * @param {number} share between 0 and 1
 * @param {string} [tone]
 */
export function shareBar(share, tone = "") {
  return svg("svg", { class: "share", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "track", width: 100, height: 10, rx: 3 }),
    svg("rect", { class: `part ${tone}`, width: Math.max(share > 0 ? 2 : 0, Math.min(1, share) * 100), height: 10, rx: 3 }));
}

/**
 * An error share, coloured from 1 % on.
 * @param {number} failed
 * @param {number} whole
 */
export function errorShare(failed, whole) {
  const share = whole > 0 ? failed / whole : 0;
  return h("span", { class: toneOfErrors(share) }, format.percent(share));
}

/** @param {number} share */
export function toneOfErrors(share) {
  if (share >= 0.05) return "bad";
  return share >= 0.01 ? "warn" : "";
}

/**
 * @param {string} label
 * @param {string} value
 * @param {string} sub
 * @param {string} [tone]
 * @param {string} [doc]
 */
export function tile(label, value, sub, tone = "", doc = "") {
  return h("div", { class: `tile ${tone}`, title: doc || null },
    h("div", { class: "label" }, label), h("div", { class: "value" }, value), h("div", { class: "sub" }, sub || "\u00a0"));
}

/**
 * A panel with a heading.
 * @param {string} title
 * @param {{ note?: Child, tools?: Child[] }} extras
 * @param {...Child} children
 */
export function panel(title, extras, ...children) {
  return h("section", { class: "panel", "aria-label": title },
    h("div", { class: "panel-head" }, h("h2", {}, title), extras.note ? h("span", { class: "note" }, extras.note) : null, h("span", { class: "grow" }), extras.tools ?? []),
    ...children);
}

/**
 * Buttons of which one is pressed.
 * @param {string} label
 * @param {{ value: string, label: string }[]} choices
 * @param {(value: string) => void} onChoose
 */
export function segmented(label, choices, onChoose) {
  const buttons = choices.map((choice) => h("button", { type: "button", on: { click: () => onChoose(choice.value) } }, choice.label));
  return {
    element: h("div", { class: "segmented", role: "group", "aria-label": label }, buttons),
    /** @param {string} value */
    show(value) {
      choices.forEach((choice, index) => buttons[index].setAttribute("aria-pressed", String(choice.value === value)));
    },
  };
}

/**
 * Nothing to show, and what to do about it.
 * @param {string} what
 * @param {...Child} advice
 */
export function emptyState(what, ...advice) {
  return h("div", { class: "empty", role: "status" }, h("strong", {}, what), h("div", {}, ...advice));
}

/** What to do where there is no data at all. */
export function noDataYet() {
  return emptyState("No requests in this time range",
    "Send a request to any server on this host, for example ", h("code", {}, "curl http://127.0.0.1/"),
    ", or choose a longer range. Nothing after a few seconds? See ", h("a", { href: href("agents") }, "Agents"), " for what the agent sees and drops.");
}
