// Layered drawing of who calls whom, left to right. In: node ids and edges. Out: positions and
// paths. Pure, and the same for the same input in any order, so that a live map stands still.
//
// Steps: break cycles, layer by the longest path, put dummies where an edge crosses a layer, order
// layers by the mean of their neighbours, then move each node towards its neighbours.

/** @typedef {{ from: string, to: string }} Link */
/** @typedef {{ x: number, y: number }} Point */
/** @typedef {{ x: number, y: number, layer: number }} Place `x`, `y`: the top left corner */
/** @typedef {{ points: Point[], label: Point }} Route from the border of `from` to the border of `to` */
/** @typedef {{ places: Map<string, Place>, routes: Route[], width: number, height: number }} Layout */

export const NODE_WIDTH = 172;
export const NODE_HEIGHT = 46;
const LAYER_GAP = 168;
const ROW_GAP = 26;
const PART_GAP = 40;
const DUMMY_HEIGHT = 10;
const SWEEPS = 12;
const LABEL_WIDTH = 118;
const LABEL_HEIGHT = 15;

/** @typedef {{ id: string, layer: number, before: Cell[], after: Cell[], height: number, y: number, dummy: boolean }} Cell */

/**
 * Parts that do not call each other are drawn one below the other, the largest first.
 * @param {string[]} ids
 * @param {Link[]} links ends must be among `ids`
 * @returns {Layout}
 */
export function layout(ids, links) {
  /** @type {Layout} */
  const whole = { places: new Map(), routes: new Array(links.length), width: 0, height: 0 };
  for (const names of partsOf([...new Set(ids)].sort(), links)) {
    const own = links.map((link, index) => ({ link, index })).filter(({ link }) => names.includes(link.from));
    const part = layoutPart(names, own.map(({ link }) => link));
    const down = whole.height > 0 ? whole.height + PART_GAP : 0;
    const lower = (/** @type {Point} */ { x, y }) => ({ x, y: y + down });
    for (const [id, place] of part.places) whole.places.set(id, { ...place, y: place.y + down });
    own.forEach(({ index }, position) => {
      const { points, label } = part.routes[position];
      whole.routes[index] = { points: points.map(lower), label: lower(label) };
    });
    whole.width = Math.max(whole.width, part.width);
    whole.height = down + part.height;
  }
  return whole;
}

/**
 * @param {string[]} names sorted
 * @param {Link[]} links
 * @returns {string[][]}
 */
function partsOf(names, links) {
  const part = new Map(names.map((id) => [id, id]));
  /** @param {string} id @returns {string} */
  const root = (id) => {
    let at = id;
    while (part.get(at) !== at) at = part.get(at) ?? at;
    return at;
  };
  for (const { from, to } of links) part.set(root(from), root(to));
  /** @type {Map<string, string[]>} */
  const groups = new Map();
  for (const id of names) groups.set(root(id), [...(groups.get(root(id)) ?? []), id]);
  return [...groups.values()].sort((left, right) => right.length - left.length || (left[0] < right[0] ? -1 : 1));
}

/**
 * @param {string[]} names sorted; each is linked to the others
 * @param {Link[]} links
 * @returns {Layout}
 */
function layoutPart(names, links) {
  const forward = withoutCycles(names, links);
  const layers = layersOf(names, forward);
  const cells = new Map(names.map((id) => [id, cell(id, layers.get(id) ?? 0, NODE_HEIGHT)]));
  const chains = forward.map(({ from, to }) => chain(cells, from, to));
  const rows = rowsOf([...cells.values(), ...chains.flatMap((each) => each.slice(1, -1))]);
  order(rows);
  placeRows(rows);

  const x = (/** @type {Cell} */ each) => each.layer * (NODE_WIDTH + LAYER_GAP);
  const places = new Map(names.map((id) => {
    const each = /** @type {Cell} */ (cells.get(id));
    return [id, { x: x(each), y: each.y, layer: each.layer }];
  }));
  /** @type {Point[]} */
  const labels = [];
  const routes = links.map((link, index) => {
    const points = route(chains[index], forward[index].reversed, x, link.from === link.to);
    return { points, label: labelOf(points, labels) };
  });
  const bottom = Math.max(0, ...[...cells.values()].map((each) => each.y + each.height));
  return { places, routes, width: rows.length * (NODE_WIDTH + LAYER_GAP) - LAYER_GAP, height: bottom };
}

/**
 * The links with those that close a cycle turned round.
 * @param {string[]} names
 * @param {Link[]} links
 * @returns {(Link & { reversed: boolean })[]}
 */
function withoutCycles(names, links) {
  /** @type {Map<string, string[]>} */
  const targets = new Map(names.map((id) => [id, []]));
  for (const { from, to } of links) if (from !== to) targets.get(from)?.push(to);
  for (const list of targets.values()) list.sort();
  const called = new Set(links.filter(({ from, to }) => from !== to).map(({ to }) => to));
  const back = new Set();
  const state = new Map();
  const visit = (/** @type {string} */ id) => {
    state.set(id, "open");
    for (const to of targets.get(id) ?? []) {
      if (state.get(to) === "open") back.add(`${id}\u0000${to}`);
      else if (!state.has(to)) visit(to);
    }
    state.set(id, "done");
  };
  // Those that nobody calls come first: they are the left end of the drawing.
  for (const id of [...names.filter((each) => !called.has(each)), ...names]) if (!state.has(id)) visit(id);
  return links.map(({ from, to }) => (back.has(`${from}\u0000${to}`) ? { from: to, to: from, reversed: true } : { from, to, reversed: false }));
}

/**
 * Layer by the longest path from the left; those that nobody calls stand right before what they call.
 * @param {string[]} names
 * @param {Link[]} links without cycles
 */
function layersOf(names, links) {
  const layers = new Map(names.map((id) => [id, 0]));
  const real = links.filter(({ from, to }) => from !== to);
  for (let round = 0, moved = true; moved && round <= names.length; round += 1) {
    moved = false;
    for (const { from, to } of real) {
      const least = (layers.get(from) ?? 0) + 1;
      if ((layers.get(to) ?? 0) < least) {
        layers.set(to, least);
        moved = true;
      }
    }
  }
  for (const id of names) {
    const next = real.filter(({ from }) => from === id).map(({ to }) => layers.get(to) ?? 0);
    if (next.length > 0 && !real.some(({ to }) => to === id)) layers.set(id, Math.min(...next) - 1);
  }
  return layers;
}

/**
 * @param {string} id
 * @param {number} layer
 * @param {number} height
 * @returns {Cell}
 */
function cell(id, layer, height) {
  return { id, layer, before: [], after: [], height, y: 0, dummy: height !== NODE_HEIGHT };
}

/**
 * The cells of a link, with a dummy in each layer between.
 * @param {Map<string, Cell>} cells
 * @param {string} from
 * @param {string} to
 * @returns {Cell[]}
 */
function chain(cells, from, to) {
  const first = /** @type {Cell} */ (cells.get(from));
  const last = /** @type {Cell} */ (cells.get(to));
  const out = [first];
  for (let layer = first.layer + 1; layer < last.layer; layer += 1) out.push(cell(`${from}\u0000${to}\u0000${layer}`, layer, DUMMY_HEIGHT));
  out.push(last);
  for (let index = 1; index < out.length && first !== last; index += 1) {
    out[index - 1].after.push(out[index]);
    out[index].before.push(out[index - 1]);
  }
  return out;
}

/** @param {Cell[]} cells @returns {Cell[][]} */
function rowsOf(cells) {
  /** @type {Cell[][]} */
  const rows = Array.from({ length: 1 + Math.max(0, ...cells.map(({ layer }) => layer)) }, () => []);
  for (const each of [...cells].sort((left, right) => (left.id < right.id ? -1 : 1))) rows[each.layer].push(each);
  return rows;
}

/** Sorts each layer by the mean place of its neighbours, left to right and back. @param {Cell[][]} rows */
function order(rows) {
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const forward = sweep % 2 === 0;
    for (const row of forward ? rows.slice(1) : rows.slice(0, -1).reverse()) {
      const near = rows[row[0].layer + (forward ? -1 : 1)];
      const place = new Map(near.map((each, index) => [each, index / Math.max(1, near.length - 1)]));
      const own = new Map(row.map((each, index) => [each, index / Math.max(1, row.length - 1)]));
      const mean = (/** @type {Cell} */ each) => {
        const known = (forward ? each.before : each.after).map((other) => place.get(other) ?? 0);
        return known.length > 0 ? known.reduce((sum, value) => sum + value, 0) / known.length : own.get(each) ?? 0;
      };
      const means = new Map(row.map((each) => [each, mean(each)]));
      row.sort((left, right) => (means.get(left) ?? 0) - (means.get(right) ?? 0) || (own.get(left) ?? 0) - (own.get(right) ?? 0));
    }
  }
}

/** Gives each cell its height on the page; order is kept and nothing overlaps. @param {Cell[][]} rows */
function placeRows(rows) {
  const middle = (/** @type {Cell} */ each) => each.y + each.height / 2;
  for (const row of rows) {
    let y = 0;
    for (const each of row) {
      each.y = y;
      y += each.height + ROW_GAP;
    }
    const shift = (y - ROW_GAP) / 2;
    for (const each of row) each.y -= shift;
  }
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const row of sweep % 2 === 0 ? rows : [...rows].reverse()) {
      for (const each of row) {
        const near = sweep % 2 === 0 ? each.before : each.after;
        if (near.length > 0) each.y = near.reduce((sum, other) => sum + middle(other), 0) / near.length - each.height / 2;
      }
      apart(row);
    }
  }
  const top = Math.min(...rows.flat().map(({ y }) => y), 0);
  for (const each of rows.flat()) each.y -= top;
  const least = Math.min(...rows.flat().map(({ y }) => y));
  if (Number.isFinite(least)) for (const each of rows.flat()) each.y -= least;
}

/** Pushes the cells of a layer apart and the whole back to where it was. @param {Cell[]} row */
function apart(row) {
  const wanted = row.reduce((sum, { y }) => sum + y, 0);
  for (let index = 1; index < row.length; index += 1) {
    row[index].y = Math.max(row[index].y, row[index - 1].y + row[index - 1].height + ROW_GAP);
  }
  const shift = (row.reduce((sum, { y }) => sum + y, 0) - wanted) / Math.max(1, row.length);
  for (const each of row) each.y -= shift;
}

/**
 * @param {Cell[]} cells
 * @param {boolean} reversed the link runs against the drawing
 * @param {(each: Cell) => number} x
 * @param {boolean} self the link leads back to its own node
 * @returns {Point[]}
 */
function route(cells, reversed, x, self) {
  const [first, last] = [cells[0], cells[cells.length - 1]];
  if (self) {
    const right = x(first) + NODE_WIDTH;
    return [{ x: right, y: first.y + 12 }, { x: right + 34, y: first.y + NODE_HEIGHT / 2 }, { x: right, y: first.y + NODE_HEIGHT - 12 }];
  }
  const points = [{ x: x(first) + NODE_WIDTH, y: first.y + NODE_HEIGHT / 2 }];
  for (const dummy of cells.slice(1, -1)) {
    const y = dummy.y + dummy.height / 2;
    points.push({ x: x(dummy), y }, { x: x(dummy) + NODE_WIDTH, y });
  }
  points.push({ x: x(last), y: last.y + NODE_HEIGHT / 2 });
  // Two links between the same nodes, there and back, shall not lie on each other.
  return reversed ? points.reverse().map((point) => ({ x: point.x, y: point.y + 9 })) : points;
}

/**
 * A place for the words of a link that no other link's words take.
 * @param {Point[]} points
 * @param {Point[]} taken
 * @returns {Point}
 */
function labelOf(points, taken) {
  const spots = [0.5, 0.36, 0.64, 0.26, 0.74, 0.5].map((share) => along(points, share));
  const free = spots.find((spot) => taken.every(({ x, y }) => Math.abs(x - spot.x) > LABEL_WIDTH || Math.abs(y - spot.y) > LABEL_HEIGHT)) ?? spots[0];
  taken.push(free);
  return free;
}

/**
 * The point at a share of the first curve of a path: curves are S-shaped between two points.
 * @param {Point[]} points
 * @param {number} share
 * @returns {Point}
 */
function along(points, share) {
  const [start, end] = points;
  const smooth = share * share * (3 - 2 * share);
  return { x: start.x + (end.x - start.x) * share, y: start.y + (end.y - start.y) * smooth };
}
