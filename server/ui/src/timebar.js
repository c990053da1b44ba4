// The time range picker and the freshness of what is shown. In: params, states. Out: an element.

import { h } from "./dom.js";
import { age, localInput, timeOfDay } from "./format.js";
import { CHOICES, formatRange, parseRange } from "./range.js";

/**
 * @param {{ onRange: (text: string) => void, onLive: (live: boolean) => void, onRefresh: () => void }} handlers
 */
export function createTimebar(handlers) {
  const select = h("select", { "aria-label": "Time range", on: { change: () => choose() } },
    CHOICES.map(({ text, label }) => h("option", { value: text }, label)), h("option", { value: "custom" }, "Custom…"));
  const from = h("input", { type: "datetime-local", step: 1, "aria-label": "From" });
  const to = h("input", { type: "datetime-local", step: 1, "aria-label": "To" });
  const apply = h("button", { type: "button", on: { click: () => applyCustom() } }, "Apply");
  const custom = h("span", { class: "custom hidden" }, from, "to", to, apply);
  const live = h("button", { type: "button", title: "Refresh by itself, or hold", on: { click: () => handlers.onLive(live.getAttribute("aria-pressed") !== "true") } }, "Live");
  const again = h("button", { type: "button", title: "Refresh now", "aria-label": "Refresh now", on: { click: handlers.onRefresh } }, "↻");
  const words = h("span");
  const fresh = h("span", { class: "fresh", role: "status", "aria-live": "off" }, h("span", { class: "dot", "aria-hidden": "true" }), words);

  function choose() {
    if (select.value !== "custom") {
      custom.classList.add("hidden");
      handlers.onRange(select.value);
      return;
    }
    const now = Date.now() / 1000;
    from.value ||= localInput(now - 3600);
    to.value ||= localInput(now);
    custom.classList.remove("hidden");
    from.focus();
  }

  function applyCustom() {
    const [first, last] = [from, to].map((input) => Math.floor(new Date(input.value).getTime() / 1000));
    const valid = Number.isFinite(first) && Number.isFinite(last) && first < last;
    for (const input of [from, to]) input.setAttribute("aria-invalid", String(!valid));
    if (valid) handlers.onRange(`${first}-${last}`);
  }

  /**
   * Shows what the address says.
   * @param {string | undefined} text
   * @param {boolean} isLive
   */
  function show(text, isLive) {
    const range = parseRange(text);
    const words = formatRange(range);
    if (range.kind === "last") offer(select, words);
    if (range.kind === "fixed") {
      select.value = "custom";
      from.value = localInput(range.from);
      to.value = localInput(range.to);
      custom.classList.remove("hidden");
    } else {
      select.value = words;
      custom.classList.add("hidden");
    }
    live.setAttribute("aria-pressed", String(isLive && range.kind === "last"));
    live.disabled = range.kind === "fixed";
    live.textContent = range.kind === "fixed" ? "Fixed" : isLive ? "❚❚ Live" : "▶ Paused";
  }

  /**
   * @param {"live" | "held" | "failed"} state
   * @param {number} nowSeconds
   * @param {number | null} newest second of the newest data
   */
  function showFreshness(state, nowSeconds, newest) {
    const lag = newest === null ? null : Math.max(0, nowSeconds - newest);
    const stale = state === "live" && lag !== null && lag > 15;
    fresh.className = `fresh ${state === "live" ? (stale ? "stale" : "live") : state === "failed" ? "failed" : ""}`;
    const live = lag !== null && state === "live" ? `newest data ${age(lag)}` : `as of ${timeOfDay(nowSeconds * 1e6).slice(0, 8)}`;
    words.textContent = state === "failed" ? "no answer, trying again" : live;
  }

  return { element: h("div", { class: "time" }, fresh, custom, select, live, again), show, showFreshness };
}

/**
 * Adds a range that the list does not have.
 * @param {HTMLSelectElement} select
 * @param {string} range
 */
function offer(select, range) {
  if ([...select.options].some(({ value }) => value === range)) return;
  select.append(h("option", { value: range }, `Last ${range}`));
}
