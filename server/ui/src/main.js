// The frame: address → page, clock → refresh. In: the window's events. Out: what is on the screen.
// One refresh runs at a time; a newer one aborts the older. Hidden tabs are not refreshed.

import { ApiError, clockSeconds } from "./api.js";
import { fill, h, svg } from "./dom.js";
import { createAgents } from "./pages/agents.js";
import { createFlows } from "./pages/flows.js";
import { createMap } from "./pages/map.js";
import { createOverview } from "./pages/overview.js";
import { createRequests } from "./pages/requests.js";
import { parseRange, refreshSeconds, resolve } from "./range.js";
import { href, parseRoute, shared } from "./router.js";
import { createTimebar } from "./timebar.js";

/** @type {Record<string, { title: string, create: import("./page.js").PageFactory }>} */
const PAGES = {
  overview: { title: "Overview", create: createOverview },
  requests: { title: "Requests", create: createRequests },
  flows: { title: "Flows", create: createFlows },
  map: { title: "Service map", create: createMap },
  agents: { title: "Agents", create: createAgents },
};

const FIRST_PAGE = "overview";
const RETRY_SECONDS = 2;
const IDLE_SHARE = 3;

const links = Object.entries(PAGES).map(([name, { title }]) => ({ name, link: h("a", {}, title) }));
const trouble = h("div", { role: "alert" });
const place = h("div", { id: "page", tabindex: -1 });
const timebar = createTimebar({
  onRange: (range) => change({ range, live: undefined }),
  onLive: (live) => change({ live: live ? undefined : "0" }),
  onRefresh: () => void refresh(false, false),
});

let route = parseRoute(location.hash, FIRST_PAGE);
let openPage = "";
/** @type {import("./page.js").Page | null} */
let page = null;
/** @type {AbortController} */
let running = new AbortController();
let timer = 0;
let frozen = false;
/** @type {import("./range.js").Span | null} the span of the last refresh; a frozen page keeps it */
let lastSpan = null;

start();

function start() {
  document.body.append(
    h("a", { class: "skip", href: "#page", on: { click: (/** @type {Event} */ event) => { event.preventDefault(); place.focus(); } } }, "Skip to the content"),
    h("header", { class: "top" },
      h("a", { class: "brand", href: href(FIRST_PAGE), "aria-label": "DeepFlow overview" }, logo(), "DeepFlow"),
      h("nav", { class: "pages", "aria-label": "Pages" }, links.map(({ link }) => link)),
      timebar.element),
    h("main", {}, trouble, place),
  );
  addEventListener("hashchange", navigate);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && isLive()) void refresh(true);
  });
  navigate();
}

function navigate() {
  route = parseRoute(location.hash, FIRST_PAGE);
  if (!(route.page in PAGES)) route.page = FIRST_PAGE;
  for (const { name, link } of links) {
    link.setAttribute("href", href(name, shared(route.params)));
    if (name === route.page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  frozen = false;
  if (openPage !== route.page) {
    page?.close();
    openPage = route.page;
    page = PAGES[route.page].create(frame());
    fill(place, page.element);
    document.title = `${PAGES[route.page].title} · DeepFlow`;
  }
  timebar.show(route.params.range, route.params.live !== "0");
  void refresh(false);
}

/** @returns {import("./page.js").Frame} */
function frame() {
  return {
    set: change,
    go: (name, params) => { location.hash = href(name, { ...shared(route.params), ...params }); },
    zoom: (from, to) => change({ range: `${from}-${to}` }),
    refresh: () => void refresh(false, frozen || route.params.live === "0"),
    freeze: (on) => { frozen = on; },
  };
}

/** @param {Record<string, string | undefined>} changes */
function change(changes) {
  const next = href(route.page, { ...route.params, ...changes });
  if (next === location.hash) void refresh(false);
  else location.hash = next;
}

function isLive() {
  return parseRange(route.params.range).kind === "last" && route.params.live !== "0" && !frozen;
}

/**
 * @param {boolean} automatic the clock asked for it
 * @param {boolean} [sameTime] shows the time shown before, as when one turns a page while held
 */
async function refresh(automatic, sameTime = frozen) {
  if (!page) return;
  clearTimeout(timer);
  running.abort();
  const control = new AbortController();
  running = control;
  const span = sameTime && lastSpan ? lastSpan : resolve(parseRange(route.params.range), clockSeconds());
  lastSpan = span;
  const began = performance.now();
  let pause = refreshSeconds(span);
  try {
    const newest = await page.refresh({ span, params: route.params, signal: control.signal, automatic });
    if (control.signal.aborted) return;
    fill(trouble);
    // A slow store is asked less often: at most a quarter of the time.
    pause = Math.max(pause, ((performance.now() - began) / 1000) * IDLE_SHARE);
    timebar.showFreshness(isLive() ? "live" : "held", clockSeconds(), newest);
  } catch (error) {
    if (control.signal.aborted) return;
    pause = RETRY_SECONDS;
    tell(error);
    timebar.showFreshness("failed", clockSeconds(), null);
  }
  if (isLive() && !document.hidden) timer = window.setTimeout(() => void refresh(true), pause * 1000);
}

/** @param {unknown} error */
function tell(error) {
  if (!(error instanceof ApiError)) console.error(error);
  fill(trouble, h("div", { class: "banner" },
    h("span", { class: "grow" }, error instanceof ApiError ? error.message : `The page failed: ${error}`),
    h("button", { type: "button", on: { click: () => void refresh(false) } }, "Try again")));
}

function logo() {
  return svg("svg", { viewBox: "0 0 32 32", "aria-hidden": "true" },
    svg("rect", { class: "brand-tile", width: 32, height: 32, rx: 7 }),
    svg("path", { class: "brand-wave", d: "M5 11c5.500 0 5.500 4 11 4s5.500-4 11-4M5 20c5.500 0 5.500 4 11 4s5.500-4 11-4" }));
}
