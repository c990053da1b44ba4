// The map's graph and layout: nothing overlaps, callers stand left, the same input gives the same map.

import assert from "node:assert/strict";
import { test } from "node:test";

import { failedShare, graphOf } from "../../src/map/graph.js";
import { NODE_HEIGHT, NODE_WIDTH, layout } from "../../src/map/layout.js";

/** @param {string} text "a>b b>c" */
function links(text) {
  return text.split(" ").filter(Boolean).map((each) => ({ from: each.split(">")[0], to: each.split(">")[1] }));
}

/** @param {string} text */
function drawn(text) {
  const edges = links(text);
  const ids = edges.flatMap(({ from, to }) => [from, to]);
  return { edges, result: layout(ids, edges) };
}

const SHAPES = ["a>b", "a>b b>c a>c", "a>b b>a", "a>a a>b", "a>b b>c c>a d>b", "w>n x>n n>s s>r s>m s>p s>d", "a>b c>d", "a>e b>e c>e d>e e>f a>f e>g g>b", ""];

test("no two nodes overlap, and all are inside", () => {
  for (const shape of SHAPES) {
    const { result } = drawn(shape);
    const places = [...result.places.values()];
    for (const [index, one] of places.entries()) {
      assert.ok(one.x >= 0 && one.y >= -0.01 && one.x + NODE_WIDTH <= result.width + 0.01 && one.y + NODE_HEIGHT <= result.height + 0.01, shape);
      for (const other of places.slice(index + 1)) {
        assert.ok(Math.abs(one.x - other.x) >= NODE_WIDTH || Math.abs(one.y - other.y) >= NODE_HEIGHT, `${shape}: overlap`);
      }
    }
  }
});

test("every edge has a route with finite points", () => {
  for (const shape of SHAPES) {
    const { edges, result } = drawn(shape);
    assert.equal(result.routes.length, edges.length);
    for (const { points, label } of result.routes) {
      assert.ok(points.length >= 2);
      for (const { x, y } of [...points, label]) assert.ok(Number.isFinite(x) && Number.isFinite(y), shape);
    }
  }
});

test("a caller stands left of what it calls where there is no cycle", () => {
  const { edges, result } = drawn("w>n x>n n>s s>r s>m n>r");
  for (const { from, to } of edges) assert.ok((result.places.get(from)?.x ?? 0) < (result.places.get(to)?.x ?? 0), `${from} ${to}`);
});

test("a long edge goes round the nodes between", () => {
  const { result } = drawn("a>b b>c a>c");
  const middle = /** @type {import("../../src/map/layout.js").Place} */ (result.places.get("b"));
  const passing = result.routes[2].points.filter(({ x }) => x >= middle.x && x <= middle.x + NODE_WIDTH);
  assert.ok(passing.length > 0);
  for (const { y } of passing) assert.ok(y < middle.y || y > middle.y + NODE_HEIGHT);
});

test("the order of the input does not matter", () => {
  const edges = links("w>n x>n n>s s>r s>m s>p s>d c>i");
  const ids = [...new Set(edges.flatMap(({ from, to }) => [from, to]))];
  const one = layout(ids, edges);
  const other = layout([...ids].reverse(), [...edges].reverse());
  assert.deepEqual([...one.places].sort(), [...other.places].sort());
});

test("a large map is drawn in time", () => {
  const edges = Array.from({ length: 120 }, (_, index) => ({ from: `n${index % 37}`, to: `n${(index * 7 + 3) % 61}` }));
  const began = performance.now();
  layout(edges.flatMap(({ from, to }) => [from, to]), edges);
  assert.ok(performance.now() - began < 1000);
});

test("rows of one pair become one edge with sums", () => {
  const row = { client: "shop", server: "db", client_is_process: 1, server_is_process: 1, requests: 10, errors: 1, timeouts: 1, rrt_sum_us: 80, rrt_samples: 8, rrt_max_us: 20 };
  const { nodes, edges, left } = graphOf([{ ...row, app_protocol: 60, port: 3306 }, { ...row, app_protocol: 121, port: 3306, rrt_max_us: 50 }]);
  assert.equal(edges.length, 1);
  assert.deepEqual(edges[0].protocols, [60, 121]);
  assert.equal(edges[0].meanUs, 10);
  assert.equal(failedShare(edges[0].counts), 0.2);
  assert.deepEqual(nodes.map(({ id, incoming, ports }) => [id, incoming.requests, ports]), [["db", 20, [3306]], ["shop", 0, []]]);
  assert.equal(left, 0);
});
