// Draws the map as SVG. In: graph, layout, what is selected. Out: elements. Wheel and drag move the
// view; nodes and edges are buttons for mouse and keyboard.

import { fill, svg } from "../dom.js";
import * as format from "../format.js";
import { protocolName } from "../labels.js";
import { toneOfErrors } from "../parts.js";
import { failedShare } from "./graph.js";
import { NODE_HEIGHT, NODE_WIDTH } from "./layout.js";

/** @typedef {import("./graph.js").MapNode} MapNode */
/** @typedef {import("./graph.js").MapEdge} MapEdge */
/** @typedef {import("./layout.js").Layout} Layout */
/** @typedef {{ kind: "node" | "edge", id: string }} Selection */
/** `near`: ids of what touches the selection. @typedef {{ seconds: number, selected: Selection | null, near: Set<string> | null }} View */

const MARGIN = 28;
const ZOOM_STEP = 1.25;
const LEAST_SCALE = 0.85;
const NAME_LENGTH = 22;

export class Renderer {
  #onSelect;
  #scene = svg("g");
  #box = { x: 0, y: 0, width: 100, height: 100 };
  /** The person moved the view: it is left as it is. */
  #touched = false;
  /** @type {Layout | null} */
  #layout = null;
  /** @type {{ x: number, y: number } | null} where the pointer holds the view */
  #grip = null;

  /** @param {(selection: Selection) => void} onSelect */
  constructor(onSelect) {
    this.#onSelect = onSelect;
    this.element = svg("svg", { role: "group", "aria-label": "Service map: nodes are processes or addresses, edges are their requests" }, this.#scene);
    this.element.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.#zoom(event.deltaY > 0 ? ZOOM_STEP : 1 / ZOOM_STEP, event);
    }, { passive: false });
    this.element.addEventListener("pointerdown", (event) => { this.#grip = { x: event.clientX, y: event.clientY }; });
    this.element.addEventListener("pointermove", (event) => this.#drag(event));
    this.element.addEventListener("pointerup", () => { this.#grip = null; });
  }

  /**
   * @param {{ nodes: MapNode[], edges: MapEdge[] }} graph
   * @param {Layout} layout
   * @param {number} seconds of the span, for rates
   * @param {Selection | null} selected
   */
  draw(graph, layout, seconds, selected) {
    const focused = document.activeElement?.getAttribute("data-id");
    const near = nearOf(graph.edges, selected);
    const view = { seconds, selected, near };
    fill(this.#scene,
      graph.edges.map((edge, index) => this.#edge(edge, layout.routes[index], view)),
      graph.edges.map((edge, index) => labelOf(edge, layout.routes[index], view)),
      graph.nodes.map((node) => this.#node(node, layout, view)));
    this.#layout = layout;
    if (!this.#touched) this.fit();
    const again = focused && [...this.#scene.querySelectorAll("[data-id]")].find((each) => each.getAttribute("data-id") === focused);
    if (again instanceof SVGElement) again.focus();
  }

  /** Shows all of the map, never larger than life. */
  fit() {
    if (!this.#layout) return;
    const [wide, high] = [Math.max(this.element.clientWidth, 300), Math.max(this.element.clientHeight, 200)];
    const scale = Math.max((this.#layout.width + 2 * MARGIN) / wide, (this.#layout.height + 2 * MARGIN) / high, LEAST_SCALE);
    const [width, height] = [wide * scale, high * scale];
    this.#look({ x: (this.#layout.width - width) / 2, y: (this.#layout.height - height) / 2, width, height });
    this.#touched = false;
  }

  zoomIn() {
    this.#zoom(1 / ZOOM_STEP);
  }

  zoomOut() {
    this.#zoom(ZOOM_STEP);
  }

  /** @param {PointerEvent} event */
  #drag(event) {
    if (!this.#grip || event.buttons === 0) return;
    const scale = this.#box.width / Math.max(1, this.element.clientWidth);
    this.#look({ ...this.#box, x: this.#box.x - (event.clientX - this.#grip.x) * scale, y: this.#box.y - (event.clientY - this.#grip.y) * scale });
    this.#grip = { x: event.clientX, y: event.clientY };
    this.#touched = true;
  }

  /**
   * @param {number} factor
   * @param {{ clientX: number, clientY: number }} [at] what stays where it is; the middle without
   */
  #zoom(factor, at) {
    const frame = this.element.getBoundingClientRect();
    const share = at ? { x: (at.clientX - frame.left) / frame.width, y: (at.clientY - frame.top) / frame.height } : { x: 0.5, y: 0.5 };
    const [width, height] = [this.#box.width * factor, this.#box.height * factor];
    this.#look({ x: this.#box.x + (this.#box.width - width) * share.x, y: this.#box.y + (this.#box.height - height) * share.y, width, height });
    this.#touched = true;
  }

  /** @param {{ x: number, y: number, width: number, height: number }} box */
  #look(box) {
    this.#box = box;
    this.element.setAttribute("viewBox", [box.x, box.y, box.width, box.height].map((each) => each.toFixed(1)).join(" "));
  }

  /**
   * A group that acts as a button.
   * @param {string} classes
   * @param {Selection} what
   * @param {string} label
   * @param {View} view
   * @param {...import("../dom.js").Child} children
   */
  #button(classes, what, label, { selected, near }, ...children) {
    const choose = () => this.#onSelect(what);
    const onKey = (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose();
    };
    return svg("g", {
      class: `${classes} ${near && !near.has(what.id) ? "faded" : ""}`, tabindex: 0, role: "button", "aria-label": label,
      "aria-pressed": String(selected?.kind === what.kind && selected.id === what.id), "data-id": `${what.kind}:${what.id}`, on: { click: choose, keydown: onKey },
    }, ...children);
  }

  /**
   * @param {MapNode} node
   * @param {Layout} layout
   * @param {View} view
   */
  #node(node, layout, view) {
    const place = layout.places.get(node.id) ?? { x: 0, y: 0 };
    const ports = node.ports.length > 0 ? ` :${node.ports.slice(0, 2).join(", :")}` : "";
    const sub = node.incoming.requests > 0
      ? `${node.protocols.map(protocolName).join(", ")}${ports} · ${format.rate(node.incoming.requests / view.seconds)}`
      : `client · ${format.rate(node.outgoing.requests / view.seconds)}`;
    const failing = toneOfErrors(failedShare(node.incoming)) === "bad";
    return this.#button(`node ${node.process ? "" : "remote"} ${failing ? "failing" : ""}`, { kind: "node", id: node.id }, `${node.id}: ${sub}`, view,
      svg("rect", { x: place.x, y: place.y, width: NODE_WIDTH, height: NODE_HEIGHT, rx: 6 }),
      svg("rect", { class: "stripe", x: place.x, y: place.y + 7, width: 4, height: NODE_HEIGHT - 14, rx: 2 }),
      svg("text", { x: place.x + 13, y: place.y + 20 }, cut(node.id, NAME_LENGTH)),
      svg("text", { class: "sub", x: place.x + 13, y: place.y + 36 }, cut(sub, NAME_LENGTH + 5)),
      svg("title", {}, `${node.id}\n${sub}`));
  }

  /**
   * @param {MapEdge} edge
   * @param {import("./layout.js").Route} route
   * @param {View} view
   */
  #edge(edge, route, view) {
    const failed = failedShare(edge.counts);
    const protocols = edge.protocols.map(protocolName).join(", ");
    const line = pathOf(route.points);
    const width = 1.2 + Math.min(3.2, Math.log10(1 + (edge.counts.requests / view.seconds) * 10) * 0.9);
    return this.#button(`edge ${toneOfErrors(failed)}`, { kind: "edge", id: edge.id }, `${edge.id}: ${wordsOf(edge, view.seconds)}, ${protocols}`, view,
      svg("path", { class: "hit", d: line }),
      svg("path", { class: "line", d: line, "stroke-width": width.toFixed(2) }),
      svg("path", { class: "arrow", d: arrowOf(route.points) }),
      svg("title", {}, `${edge.id}\n${protocols}\n${format.count(edge.counts.requests)} requests, ${format.percent(failed)} failed, mean ${format.duration(edge.meanUs)}`));
  }
}

/**
 * The words of an edge, above all lines.
 * @param {MapEdge} edge
 * @param {import("./layout.js").Route} route
 * @param {View} view
 */
function labelOf(edge, route, { seconds, near }) {
  const { x, y } = route.label;
  return svg("text", { class: `edge-label ${near && !near.has(edge.id) ? "faded" : ""}`, "aria-hidden": "true", x: x.toFixed(1), y: (y - 5).toFixed(1) }, wordsOf(edge, seconds));
}

/**
 * Rate, failed share where there is one, mean response time.
 * @param {MapEdge} edge
 * @param {number} seconds
 */
function wordsOf(edge, seconds) {
  const failed = failedShare(edge.counts);
  return `${format.rate(edge.counts.requests / seconds)}${failed > 0 ? ` · ${format.percent(failed)}` : ""} · ${format.duration(edge.meanUs)}`;
}

/**
 * Ids of what touches the selection; null = nothing is selected.
 * @param {MapEdge[]} edges
 * @param {Selection | null} selected
 * @returns {Set<string> | null}
 */
function nearOf(edges, selected) {
  if (!selected) return null;
  const touching = edges.filter(({ id, from, to }) => (selected.kind === "edge" ? id === selected.id : from === selected.id || to === selected.id));
  return new Set([selected.id, ...touching.flatMap(({ id, from, to }) => [id, from, to])]);
}

/** S-curves through the points. @param {import("./layout.js").Point[]} points */
function pathOf(points) {
  let out = `M${points[0].x.toFixed(1)} ${points[0].y.toFixed(1)}`;
  for (let index = 1; index < points.length; index += 1) {
    const [from, to] = [points[index - 1], points[index]];
    const middle = ((from.x + to.x) / 2).toFixed(1);
    out += ` C${middle} ${from.y.toFixed(1)} ${middle} ${to.y.toFixed(1)} ${to.x.toFixed(1)} ${to.y.toFixed(1)}`;
  }
  return out;
}

/** @param {import("./layout.js").Point[]} points */
function arrowOf(points) {
  const end = points[points.length - 1];
  const back = end.x >= points[points.length - 2].x ? -9 : 9;
  return `M${end.x.toFixed(1)} ${end.y.toFixed(1)} l${back} -4.500 l0 9 z`;
}

/**
 * @param {string} text
 * @param {number} length
 */
function cut(text, length) {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}
