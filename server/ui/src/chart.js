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
 * @property {boolean} [binary] ticks at powers of two, for bytes
 * @property {number} [height] of the plot in pixels
 * @property {string} [empty] shown when there is nothing but zeros
 * @property {(from: number, to: number) => void} onZoom
 */

const DEFAULT_HEIGHT = 168;
const COLOURS = 8;
const LEAST_DRAG_PIXELS = 6;

export class Chart {
  #options;
  #plot;
  #legend = h("ul", { class: "legend" });
  #nothing;
  /** @type {Map<string, string>} a label keeps its colour while the chart lives */
  #slots = new Map();
  /** @type {Set<string>} labels that the person switched off */
  #off = new Set();
  /** @type {uPlot | null} */
  #chart = null;
  #shape = "";
  /** @type {{ times: number[], series: Series[] }} */
  #shown = { times: [], series: [] };
  #dark = matchMedia("(prefers-color-scheme: dark)");
  #redraw = () => {
    this.#drop();
    this.#draw();
  };
  #watcher = new ResizeObserver(() => {
    const width = this.#plot.clientWidth;
    if (width === 0) return;
    if (this.#chart) this.#chart.setSize({ width, height: this.#height });
    else this.#draw();
  });

  /** @param {ChartOptions} options */
  constructor(options) {
    this.#options = options;
    this.#plot = h("div", { class: "chart", role: "img", "aria-label": options.label });
    this.#nothing = h("div", { class: "over-empty hidden" }, options.empty ?? "no data in this range");
    this.element = h("div", { class: "chart-frame" }, this.#plot, this.#nothing, this.#legend);
    this.#dark.addEventListener("change", this.#redraw);
    this.#watcher.observe(this.#plot);
  }

  /**
   * @param {number[]} times starts of buckets in seconds since the epoch
   * @param {Series[]} series
   */
  update(times, series) {
    for (const { label, tone } of series) {
      if (!this.#slots.has(label)) this.#slots.set(label, tone ?? `s${(this.#slots.size % COLOURS) + 1}`);
    }
    this.#shown = { times, series };
    this.#draw();
  }

  destroy() {
    this.#watcher.disconnect();
    this.#dark.removeEventListener("change", this.#redraw);
    this.#drop();
  }

  get #height() {
    return this.#options.height ?? DEFAULT_HEIGHT;
  }

  #drop() {
    this.#chart?.destroy();
    this.#chart = null;
  }

  #draw() {
    const { times, series } = this.#shown;
    if (this.#plot.clientWidth === 0 || times.length === 0) return;
    const visible = series.filter(({ label }) => !this.#off.has(label));
    const shape = visible.map(({ label }) => label).join("\u0000");
    const data = /** @type {uPlot.AlignedData} */ ([times, ...lines(visible, this.#options.stacked === true)]);
    if (this.#chart && shape === this.#shape) {
      this.#chart.setData(data);
    } else {
      this.#drop();
      this.#shape = shape;
      this.#chart = new uPlot(this.#config(visible), data, this.#plot);
    }
    this.#nothing.classList.toggle("hidden", series.some(({ values }) => values.some((value) => (value ?? 0) > 0)));
    this.#showLegend(null);
  }

  /** @param {Series[]} visible @returns {uPlot.Options} */
  #config(visible) {
    const { stacked } = this.#options;
    const ordered = stacked ? [...visible].reverse() : visible;
    return {
      width: this.#plot.clientWidth,
      height: this.#height,
      padding: [8, 18, 0, 0],
      legend: { show: false },
      cursor: { points: { size: 6 }, drag: { x: true, y: false, setScale: false } },
      scales: { y: this.#scale() },
      axes: this.#axes(),
      series: [{}, ...ordered.map(({ label }) => {
        const stroke = colour(`--${this.#slots.get(label)}`);
        return { label, stroke, width: 1.5, points: { size: 4 }, ...(stacked ? { fill: `${stroke}40` } : {}) };
      })],
      bands: stacked ? ordered.slice(1).map((_, index) => ({ series: /** @type {[number, number]} */ ([index + 1, index + 2]) })) : [],
      hooks: { setCursor: [(self) => this.#showLegend(self.cursor.idx ?? null)], setSelect: [(self) => this.#zoom(self)] },
    };
  }

  /** @returns {uPlot.Scale} */
  #scale() {
    if (!this.#options.logarithmic) return { range: (_, __, max) => [0, max > 0 ? max * 1.12 : 1] };
    return { distr: 3, range: (_, min, max) => [Math.max(1, (min || 1) / 1.5), Math.max(10, (max || 1) * 1.5)] };
  }

  /** @returns {uPlot.Axis[]} */
  #axes() {
    const look = { stroke: colour("--muted"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const { format, logarithmic, binary } = this.#options;
    /** @type {uPlot.Axis.Values} */
    const clock = [
      [86400, "{MMM} {D}", null, null, null, null, null, null, 1],
      [60, "{HH}:{mm}", null, null, null, null, null, null, 1],
      [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1],
    ];
    /** @type {uPlot.Axis} */
    const values = { ...look, size: 66, space: 34, values: (_, ticks) => ticks.map((tick) => (tick === null ? null : format(tick))) };
    if (binary) values.incrs = Array.from({ length: 50 }, (_, power) => 2 ** power);
    if (logarithmic) {
      values.splits = (self) => decades(self.scales.y.min ?? 1, self.scales.y.max ?? 10);
      values.filter = (_, splits) => splits;
    }
    return [{ ...look, size: 24, space: 70, values: clock }, values];
  }

  /** @param {uPlot} self */
  #zoom(self) {
    const { left, width } = self.select;
    if (width < LEAST_DRAG_PIXELS) return;
    const [from, to] = [self.posToVal(left, "x"), self.posToVal(left + width, "x")];
    self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (to - from >= 1) this.#options.onZoom(Math.floor(from), Math.ceil(to));
  }

  /** @param {number | null} index bucket under the cursor; null = the newest that has passed */
  #showLegend(index) {
    const { series } = this.#shown;
    if (this.#legend.childElementCount !== series.length) fill(this.#legend, series.map(() => h("li")));
    series.forEach(({ label, values }, position) => {
      const at = index ?? values.findLastIndex((value) => value !== null);
      this.#showEntry(this.#legend.children[position], label, this.#options.format(values[at]));
    });
  }

  /**
   * @param {Element} item
   * @param {string} label
   * @param {string} text
   */
  #showEntry(item, label, text) {
    const pressed = String(!this.#off.has(label));
    if (item.getAttribute("data-label") === label) {
      item.querySelector(".value")?.replaceChildren(text);
      item.firstElementChild?.setAttribute("aria-pressed", pressed);
      return;
    }
    item.setAttribute("data-label", label);
    fill(item, h("button", { type: "button", title: `Show or hide ${label}`, "aria-pressed": pressed, on: { click: () => this.#toggle(label) } },
      svg("svg", { viewBox: "0 0 9 9", "aria-hidden": "true" }, svg("rect", { width: 9, height: 9, rx: 2, class: `fill-${this.#slots.get(label)}` })),
      h("span", { class: "name" }, label), h("span", { class: "value" }, text)));
  }

  /** @param {string} label */
  #toggle(label) {
    if (!this.#off.delete(label)) this.#off.add(label);
    this.#draw();
  }
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
