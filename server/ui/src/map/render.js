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

const MARGIN = 28;
const ZOOM_STEP = 1.25;
const NAME_LENGTH = 22;

/**
 * @param {(selection: Selection) => void} onSelect
 */
export function createRenderer(onSelect) {
  const scene = svg("g");
  const element = svg("svg", { role: "group", "aria-label": "Service map: nodes are processes or addresses, edges are their requests" }, scene);
  let box = { x: 0, y: 0, width: 100, height: 100 };
  let touched = false;
  /** @type {Layout | null} */
  let shown = null;
  /** @type {{ x: number, y: number } | null} */
  let grip = null;

  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY > 0 ? ZOOM_STEP : 1 / ZOOM_STEP, event);
  }, { passive: false });
  element.addEventListener("pointerdown", (event) => { grip = { x: event.clientX, y: event.clientY }; });
  element.addEventListener("pointermove", (event) => {
    if (!grip || event.buttons === 0) return;
    const scale = unitsPerPixel();
    look({ ...box, x: box.x - (event.clientX - grip.x) * scale, y: box.y - (event.clientY - grip.y) * scale });
    grip = { x: event.clientX, y: event.clientY };
    touched = true;
  });
  element.addEventListener("pointerup", () => { grip = null; });

  /**
   * @param {{ nodes: MapNode[], edges: MapEdge[] }} graph
   * @param {Layout} layout
   * @param {number} seconds of the span, for rates
   * @param {Selection | null} selected
   */
  function draw(graph, layout, seconds, selected) {
    const focused = document.activeElement?.getAttribute("data-id");
    const near = nearOf(graph.edges, selected);
    fill(scene,
      graph.edges.map((edge, index) => edgeOf(edge, layout.routes[index], seconds, selected, near)),
      graph.edges.map((edge, index) => labelOf(edge, layout.routes[index], seconds, near)),
      graph.nodes.map((node) => nodeOf(node, layout, seconds, selected, near)));
    shown = layout;
    if (!touched) fit();
    if (focused) /** @type {SVGElement | null} */ ([...scene.querySelectorAll("[data-id]")].find((each) => each.getAttribute("data-id") === focused) ?? null)?.focus();
  }

  /** Shows all of the map, never larger than life. */
  function fit() {
    if (!shown) return;
    const [wide, high] = [Math.max(element.clientWidth, 300), Math.max(element.clientHeight, 200)];
    const scale = Math.max((shown.width + 2 * MARGIN) / wide, (shown.height + 2 * MARGIN) / high, 0.85);
    const [width, height] = [wide * scale, high * scale];
    look({ x: shown.width / 2 - width / 2, y: shown.height / 2 - height / 2, width, height });
    touched = false;
  }

  /**
   * @param {number} factor
   * @param {{ clientX: number, clientY: number }} [at]
   */
  function zoom(factor, at) {
    const frame = element.getBoundingClientRect();
    const share = at ? { x: (at.clientX - frame.left) / frame.width, y: (at.clientY - frame.top) / frame.height } : { x: 0.5, y: 0.5 };
    const [width, height] = [box.width * factor, box.height * factor];
    look({ x: box.x + (box.width - width) * share.x, y: box.y + (box.height - height) * share.y, width, height });
    touched = true;
  }

  /** @param {typeof box} next */
  function look(next) {
    box = next;
    element.setAttribute("viewBox", `${box.x.toFixed(1)} ${box.y.toFixed(1)} ${box.width.toFixed(1)} ${box.height.toFixed(1)}`);
  }

  function unitsPerPixel() {
    return box.width / Math.max(1, element.clientWidth);
  }

  /**
   * A group that acts as a button.
   * @param {string} classes
   * @param {Selection} what
   * @param {string} label
   * @param {boolean} pressed
   * @param {...import("../dom.js").Child} children
   */
  function button(classes, what, label, pressed, ...children) {
    return svg("g", {
      class: classes, tabindex: 0, role: "button", "aria-label": label, "aria-pressed": String(pressed), "data-id": `${what.kind}:${what.id}`,
      on: {
        click: () => onSelect(what),
        keydown: (/** @type {KeyboardEvent} */ event) => {
          if (event.key !== "Enter" && event.key !== " ") return;
          event.preventDefault();
          onSelect(what);
        },
      },
    }, ...children);
  }

  /**
   * @param {MapNode} node
   * @param {Layout} layout
   * @param {number} seconds
   * @param {Selection | null} selected
   * @param {Set<string> | null} near
   */
  function nodeOf(node, layout, seconds, selected, near) {
    const place = layout.places.get(node.id) ?? { x: 0, y: 0 };
    const failing = failedShare(node.incoming) >= 0.05;
    const serves = node.incoming.requests > 0;
    const sub = serves
      ? `${node.protocols.map(protocolName).join(", ")}${node.ports.length > 0 ? ` :${node.ports.slice(0, 2).join(", :")}` : ""} · ${format.rate(node.incoming.requests / seconds)}`
      : `client · ${format.rate(node.outgoing.requests / seconds)}`;
    const pressed = selected?.kind === "node" && selected.id === node.id;
    return button(`node ${node.process ? "" : "remote"} ${failing ? "failing" : ""} ${near && !near.has(node.id) ? "faded" : ""}`,
      { kind: "node", id: node.id }, `${node.id}: ${sub}`, pressed,
      svg("rect", { x: place.x, y: place.y, width: NODE_WIDTH, height: NODE_HEIGHT, rx: 6 }),
      svg("rect", { class: "stripe", x: place.x, y: place.y + 7, width: 4, height: NODE_HEIGHT - 14, rx: 2 }),
      svg("text", { x: place.x + 13, y: place.y + 20 }, cut(node.id, NAME_LENGTH)),
      svg("text", { class: "sub", x: place.x + 13, y: place.y + 36 }, cut(sub, NAME_LENGTH + 5)),
      svg("title", {}, `${node.id}\n${sub}`));
  }

  /**
   * @param {MapEdge} edge
   * @param {import("./layout.js").Route} route
   * @param {number} seconds
   * @param {Selection | null} selected
   * @param {Set<string> | null} near
   */
  function edgeOf(edge, route, seconds, selected, near) {
    const failed = failedShare(edge.counts);
    const words = wordsOf(edge, seconds);
    const line = pathOf(route.points);
    const pressed = selected?.kind === "edge" && selected.id === edge.id;
    const width = 1.2 + Math.min(3.2, Math.log10(1 + (edge.counts.requests / seconds) * 10) * 0.9);
    return button(`edge ${toneOfErrors(failed)} ${near && !near.has(edge.id) ? "faded" : ""}`,
      { kind: "edge", id: edge.id }, `${edge.id}: ${words}, ${edge.protocols.map(protocolName).join(", ")}`, pressed,
      svg("path", { class: "hit", d: line }),
      svg("path", { class: "line", d: line, "stroke-width": width.toFixed(2) }),
      svg("path", { class: "arrow", d: arrowOf(route.points) }),
      svg("title", {}, `${edge.id}\n${edge.protocols.map(protocolName).join(", ")}\n${format.count(edge.counts.requests)} requests, ${format.percent(failed)} failed, mean ${format.duration(edge.meanUs)}`));
  }

  /**
   * The words of an edge, above all lines.
   * @param {MapEdge} edge
   * @param {import("./layout.js").Route} route
   * @param {number} seconds
   * @param {Set<string> | null} near
   */
  function labelOf(edge, route, seconds, near) {
    return svg("text", { class: `edge-label ${near && !near.has(edge.id) ? "faded" : ""}`, "aria-hidden": "true", x: route.label.x.toFixed(1), y: (route.label.y - 5).toFixed(1) }, wordsOf(edge, seconds));
  }

  return { element, draw, fit, zoomIn: () => zoom(1 / ZOOM_STEP), zoomOut: () => zoom(ZOOM_STEP) };
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
