// Time series charts over uPlot. In: bucket times and series of numbers. Out: a panel's element.
// Colours come from the style sheet, so both themes work; a legend of our own names the values,
// and a drag over the plot chooses a time range.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { fill, h, svg } from "./dom.js";

/** `tone`: a colour that means something, "ok", "warn" or "bad". @typedef {{ label: string, values: (number | null)[], tone?: string }} Series */
/**
 * @typedef {object} ChartOptions
 * @property {string} label for screen readers
 * @property {(value: number | null | undefined) => string} format
 * @property {boolean} [stacked] areas on top of each other instead of lines
 * @property {boolean} [logarithmic] for values of several magnitudes
 * @property {number} [height] of the plot in pixels
 * @property {string} [empty] shown when there is nothing but zeros
 * @property {(from: number, to: number) => void} onZoom
 */

const DEFAULT_HEIGHT = 168;
const COLOURS = 8;

/**
 * @param {ChartOptions} options
 */
export function createChart(options) {
  const height = options.height ?? DEFAULT_HEIGHT;
  const plot = h("div", { class: "chart", role: "img", "aria-label": options.label });
  const legend = h("ul", { class: "legend" });
  const nothing = h("div", { class: "over-empty hidden" }, options.empty ?? "no data in this range");
  const element = h("div", { class: "chart-frame" }, plot, nothing, legend);
  /** @type {Map<string, string>} a label keeps its colour while the chart lives */
  const slots = new Map();
  /** @type {Set<string>} */
  const off = new Set();
  /** @type {uPlot | null} */
  let chart = null;
  let shape = "";
  /** @type {{ times: number[], series: Series[] }} */
  let shown = { times: [], series: [] };

  const redraw = () => {
    chart?.destroy();
    chart = null;
    draw();
  };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", redraw);
  const watcher = new ResizeObserver(() => {
    if (chart && plot.clientWidth > 0) chart.setSize({ width: plot.clientWidth, height });
    else if (plot.clientWidth > 0) draw();
  });
  watcher.observe(plot);

  /**
   * @param {number[]} times
   * @param {Series[]} series
   */
  function update(times, series) {
    for (const { label, tone } of series) if (!slots.has(label)) slots.set(label, tone ?? `s${(slots.size % COLOURS) + 1}`);
    shown = { times, series };
    draw();
  }

  function draw() {
    if (plot.clientWidth === 0 || shown.times.length === 0) return;
    const { times, series } = shown;
    const visible = series.filter(({ label }) => !off.has(label));
    const next = `${visible.map(({ label }) => label).join("\u0000")}`;
    const data = /** @type {uPlot.AlignedData} */ ([times, ...lines(visible, options.stacked === true)]);
    if (chart && next === shape) {
      chart.setData(data);
    } else {
      chart?.destroy();
      shape = next;
      chart = new uPlot(config(visible), data, plot);
    }
    nothing.classList.toggle("hidden", series.some(({ values }) => values.some((value) => (value ?? 0) > 0)));
    showLegend(null);
  }

  /** @param {Series[]} visible @returns {uPlot.Options} */
  function config(visible) {
    const ordered = options.stacked ? [...visible].reverse() : visible;
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    return {
      width: plot.clientWidth,
      height,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: { points: { size: 6 }, drag: { x: true, y: false, setScale: false } },
      scales: {
        y: options.logarithmic
          ? { distr: 3, range: (_, min, max) => [Math.max(1, (min || 1) / 1.5), Math.max(10, (max || 1) * 1.5)] }
          : { range: (_, __, max) => [0, max > 0 ? max * 1.12 : 1] },
      },
      axes: [
        { ...axis, size: 24, space: 70, values: [[86400, "{MMM} {D}", null, null, null, null, null, null, 1], [60, "{HH}:{mm}", null, null, null, null, null, null, 1], [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1]] },
        { ...axis, size: 66, space: 34, ...(options.logarithmic ? { splits: (/** @type {uPlot} */ self) => decades(self.scales.y.min ?? 1, self.scales.y.max ?? 10), filter: (/** @type {uPlot} */ _, /** @type {number[]} */ splits) => splits } : {}), values: (_, ticks) => ticks.map((tick) => (tick === null ? null : options.format(tick))) },
      ],
      series: [{}, ...ordered.map(({ label }) => {
        const stroke = colour(`--${slots.get(label)}`);
        return { label, stroke, width: 1.5, points: { size: 4 }, ...(options.stacked ? { fill: `${stroke}40` } : {}) };
      })],
      bands: options.stacked ? ordered.slice(1).map((_, index) => ({ series: /** @type {[number, number]} */ ([index + 1, index + 2]) })) : [],
      hooks: {
        setCursor: [(self) => showLegend(self.cursor.idx ?? null)],
        setSelect: [(self) => {
          if (self.select.width < 6) return;
          const [from, to] = [self.posToVal(self.select.left, "x"), self.posToVal(self.select.left + self.select.width, "x")];
          self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          if (to - from >= 1) options.onZoom(Math.floor(from), Math.ceil(to));
        }],
      },
    };
  }

  /** @param {number | null} index bucket under the cursor; null = the newest that has passed */
  function showLegend(index) {
    if (legend.childElementCount !== shown.series.length) fill(legend, shown.series.map(() => h("li")));
    shown.series.forEach(({ label, values }, position) => {
      const at = index ?? values.findLastIndex((value) => value !== null);
      const text = options.format(values[at]);
      const item = legend.children[position];
      if (item.getAttribute("data-label") === label) {
        item.querySelector(".value")?.replaceChildren(text);
        item.firstElementChild?.setAttribute("aria-pressed", String(!off.has(label)));
        return;
      }
      item.setAttribute("data-label", label);
      fill(item, h("button", { type: "button", title: `Show or hide ${label}`, "aria-pressed": String(!off.has(label)), on: { click: () => toggle(label) } },
        svg("svg", { viewBox: "0 0 9 9", "aria-hidden": "true" }, svg("rect", { width: 9, height: 9, rx: 2, class: `fill-${slots.get(label)}` })),
        h("span", { class: "name" }, label), h("span", { class: "value" }, text)));
    });
  }

  /** @param {string} label */
  function toggle(label) {
    if (!off.delete(label)) off.add(label);
    draw();
  }

  return {
    element,
    update,
    destroy() {
      watcher.disconnect();
      dark.removeEventListener("change", redraw);
      chart?.destroy();
      chart = null;
    },
  };
}

/**
 * The numbers to draw: as they are, or summed up from the bottom, topmost first.
 * @param {Series[]} series
 * @param {boolean} stacked
 * @returns {(number | null)[][]}
 */
export function lines(series, stacked) {
  if (!stacked) return series.map(({ values }) => values);
  /** @type {(number | null)[]} */
  let below = [];
  return series.map(({ values }) => {
    below = values.map((value, index) => (value === null ? null : value + (below[index] ?? 0)));
    return below;
  }).reverse();
}

/**
 * Ticks of a logarithmic axis: 1, 2, 5 of each decade while there are few, else the decades.
 * @param {number} min
 * @param {number} max
 * @returns {number[]}
 */
export function decades(min, max) {
  const out = [];
  const steps = Math.log10(max / min) > 2.2 ? [1] : [1, 2, 5];
  for (let decade = 10 ** Math.floor(Math.log10(min)); decade <= max; decade *= 10) {
    for (const step of steps) if (decade * step >= min && decade * step <= max) out.push(decade * step);
  }
  return out;
}

/** @param {string} variable of the style sheet */
function colour(variable) {
  return getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
}
