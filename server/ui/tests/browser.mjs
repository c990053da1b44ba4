// Clicks through every page in a real browser. In: the address of a running server whose store has
// requests of the last minutes. Out: exit code 0 and screenshots, or what failed. Without an
// address it starts the mock, under a path, as behind a reverse proxy.
//
//     node tests/browser.mjs [URL [FOLDER]]      BROWSER=/usr/bin/chromium by default

import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { HOSTILE } from "./fixture.mjs";
import { startMock } from "./mock.mjs";

/** @typedef {import("playwright-core").Page} Page */

const BROWSER = process.env.BROWSER || "/usr/bin/chromium";
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const PATIENCE_MS = 30000;
/** Rows that are older than this are all stored, on a busy machine too. */
const SETTLES_SECONDS = 15;
/** Flows are logged when they end or each minute. */
const FLOW_PATIENCE_MS = 100000;

const folder = process.argv[3] ?? join(import.meta.dirname, "../../../target/screenshots");
/** @type {string[]} what the browser complained of */
const complaints = [];
/** The part of the test that breaks the connection on purpose. */
let breaking = false;

await main();

async function main() {
  assert.ok(existsSync(BROWSER), `no browser at ${BROWSER}: install Debian's package chromium, or set BROWSER`);
  mkdirSync(folder, { recursive: true });
  const mock = process.argv[2] ? null : await startMock(0, "/some/path/");
  const url = process.argv[2] ?? mock?.url ?? "";
  const browser = await chromium.launch({ executablePath: BROWSER, args: FLAGS });
  try {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "dark", acceptDownloads: true });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.on("crash", () => complaints.push("the page crashed"));
    watch(page, url);
    const steps = { overview, requests, details, flows, map, agents, emptiness, outage, lightTheme };
    for (const [name, step] of Object.entries(steps)) {
      const began = Date.now();
      await step(page, url).catch((error) => told(page, name, error));
      console.log(`ok ${name} (${Date.now() - began} ms)`);
    }
    assert.deepEqual(complaints, [], "the browser complained");
    console.log(`all pages work at ${url}; screenshots in ${folder}`);
  } finally {
    await browser.close();
    mock?.close();
  }
}

/**
 * Collects errors and requests to anywhere else.
 * @param {Page} page
 * @param {string} url
 */
function watch(page, url) {
  const origin = new URL(url).origin;
  page.on("console", (message) => {
    if (message.type() === "error" && !breaking) complaints.push(`console: ${message.text()} ${message.location().url}`);
  });
  page.on("pageerror", (error) => complaints.push(`page: ${error.message}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith(`blob:${origin}/`)) complaints.push(`foreign request: ${request.url()}`);
  });
}

/**
 * Says what the page showed when a step failed, then fails.
 * @param {Page} page
 * @param {string} step
 * @param {unknown} error
 * @returns {Promise<never>}
 */
async function told(page, step, error) {
  const shown = await page.evaluate(() => ({
    address: location.href,
    hidden: document.hidden,
    banner: document.querySelector("[role=alert]")?.textContent,
    text: document.querySelector("main")?.innerText.slice(0, 600),
  })).catch((reason) => `the page does not answer: ${reason}`);
  console.error(`${step} failed; the page shows`, shown, "the browser complained of", complaints);
  await shot(page, `${step}-failed`).catch(() => undefined);
  throw error;
}

/** @param {Page} page @param {string} url */
async function overview(page, url) {
  await page.goto(url);
  await rowsOf(page, "Services");
  assert.ok(await numberOf(page, ".tile >> nth=0 >> .value") > 0, "requests are counted");
  await page.locator(".legend li").first().waitFor();
  assert.ok(await page.locator(".uplot canvas").count() >= 2, "charts are drawn");
  await shot(page, "overview");
  await page.locator(".explanation summary").click();
  await page.getByText("only the point nearest to the server counts").waitFor();
  await page.locator(".explanation summary").click();

  const once = await numberOf(page, ".tile >> nth=0 >> .value");
  await page.getByLabel("Seen at").selectOption("all");
  // With one source of data only, all points together are that one.
  await until(page, (least) => location.hash.includes("point=all") && Number(document.querySelector(".tile .value")?.textContent?.replaceAll(",", "")) >= least, once);
  await page.getByLabel("Seen at").selectOption("once");
  await page.getByRole("button", { name: "by protocol" }).click();
  await page.locator("button[aria-pressed='true']").getByText("by protocol").waitFor();
  for (const order of ["most errors", "slowest", "busiest"]) await page.getByRole("button", { name: order }).click();
  // Before other ranges: on a slow machine the chart may still show the one before.
  await drag(page);
  await until(page, () => /range=\d+-\d+/.test(decodeURIComponent(location.hash)));
  for (const range of ["5m", "1h", "6h", "24h", "15m"]) {
    await page.getByLabel("Time range").selectOption(range);
    await rowsOf(page, "Services");
  }
  await page.getByLabel("Time range").selectOption("15m");
  await page.getByLabel("Time range").selectOption("custom");
  await page.getByRole("button", { name: "Apply" }).click();
  await until(page, () => /range=\d+-\d+/.test(location.hash));
  await rowsOf(page, "Services");
  await page.getByLabel("Time range").selectOption("15m");
  await page.getByRole("button", { name: "Live" }).click();
  await page.getByRole("button", { name: "Paused" }).waitFor();
  await page.getByRole("button", { name: "Paused" }).click();
  await page.getByRole("table", { name: "Services" }).locator("tbody tr").first().click();
  await until(page, () => location.hash.startsWith("#/requests") && location.hash.includes("server="));
  await rowsOf(page, "Request log");
}

/** @param {Page} page @param {string} url */
async function requests(page, url) {
  await visit(page, `${url}#/requests?range=15m`);
  await rowsOf(page, "Request log");
  await shot(page, "requests");
  const protocol = (await page.getByRole("table", { name: "Request log" }).locator("tbody tr td:nth-child(3)").first().textContent()) ?? "";
  await page.getByLabel("Protocol").selectOption({ label: protocol });
  await until(page, (name) => [...document.querySelectorAll("table[aria-label='Request log'] tbody tr td:nth-child(3)")].every((cell) => cell.textContent === name), protocol);
  await page.getByLabel("Protocol").selectOption("");
  await page.getByLabel("Port").fill("eighty");
  await page.locator(".problem:not(.hidden)").waitFor();
  await page.getByLabel("Port").fill("");
  await page.locator(".problem:not(.hidden)").waitFor({ state: "hidden" });
  await page.getByLabel("Text").fill("no such request ' \\ <b>");
  await page.getByText("No requests in this time range").waitFor();
  await page.getByLabel("Text").fill("");
  await rowsOf(page, "Request log");

  await page.getByRole("button", { name: "Time taken" }).click();
  await page.locator("th[aria-sort='descending']").getByText("Time taken").waitFor();
  await page.getByRole("button", { name: "Time taken" }).click();
  await page.locator("th[aria-sort='ascending']").getByText("Time taken").waitFor();
  await visit(page, `${url}#/requests?range=15m&point=all`);
  await rowsOf(page, "Request log");
  await turnPages(page, url);
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download CSV" }).click()]);
  assert.equal(download.suggestedFilename(), "l7_flow_log.csv");
}

/**
 * Older and back: no row twice, and a page that all rows have reached stands still.
 * @param {Page} page
 * @param {string} url
 */
async function turnPages(page, url) {
  const end = Math.floor(Date.now() / 1000) - SETTLES_SECONDS;
  await visit(page, `${url}#/requests?point=all&range=${end - 900}-${end}`);
  await page.getByText(/ of [0-9,]+$|^no rows$/).waitFor();
  if (await page.getByRole("button", { name: "Older" }).isDisabled()) return console.log("   fewer than 100 rows: pages not turned");
  const keys = () => page.locator("table[aria-label='Request log'] tbody tr").evaluateAll((lines) => lines.map((line) => line.getAttribute("data-key")));
  const older = async () => {
    await page.getByRole("button", { name: "Older" }).click();
    await page.getByText(/^101–/).waitFor();
  };
  const newer = async () => {
    await page.getByRole("button", { name: "Newer" }).click();
    await page.getByText(/^1–/).waitFor();
  };
  await older();
  const second = await keys();
  await newer();
  await older();
  assert.deepEqual(await keys(), second, "a page is the same when one comes back to it");
  await newer();
  const first = new Set(await keys());
  assert.ok(second.every((key) => !first.has(key)), "no row is on two pages");
  await visit(page, `${url}#/requests?range=15m&point=all`);
  return rowsOf(page, "Request log");
}

/** @param {Page} page @param {string} url */
async function details(page, url) {
  await visit(page, `${url}#/requests?range=15m&live=0`);
  await rowsOf(page, "Request log");
  const row = page.getByRole("table", { name: "Request log" }).locator("tbody tr").first();
  await row.focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  const drawer = page.getByRole("dialog", { name: "Details" });
  await drawer.getByText("response_status").first().waitFor();
  await drawer.getByText("columns without a value").click();
  await page.waitForTimeout(600);
  await shot(page, "details");
  assert.ok(await drawer.locator("dt").count() > 60, "all columns are there");
  const links = drawer.getByRole("navigation", { name: "Related rows" }).getByRole("link");
  assert.ok(await links.count() >= 2, "related rows can be reached");
  await page.keyboard.press("Escape");
  await drawer.waitFor({ state: "hidden" });
  assert.ok(await row.evaluate((line) => line === document.activeElement), "the focus is back on the row");
  await row.click();
  await links.first().click();
  await rowsOf(page, "Request log");
  await page.locator(".chip").first().click();

  await visit(page, `${url}#/requests?range=15m&text=${encodeURIComponent("onerror")}`);
  await page.getByRole("heading", { name: "Request log" }).waitFor();
  if (!process.argv[2]) await page.getByText(HOSTILE).first().waitFor();
  assert.equal(await page.locator("img").count(), 0, "no markup comes from the network");
}

/** @param {Page} page @param {string} url */
async function flows(page, url) {
  await visit(page, `${url}#/flows?range=15m`);
  await rowsOf(page, "Flow log", FLOW_PATIENCE_MS);
  await shot(page, "flows");
  await page.getByRole("button", { name: "Sent / received" }).click();
  await page.locator("th[aria-sort='descending']").getByText("Sent / received").waitFor();
  await page.getByLabel("Transport").selectOption("6");
  await page.getByRole("table", { name: "Flow log" }).locator("tbody tr").first().click();
  const drawer = page.getByRole("dialog", { name: "Details" });
  await drawer.getByText("close_type").first().waitFor();
  await page.waitForTimeout(400);
  await shot(page, "flow-details");
  await page.keyboard.press("Escape");
}

/** @param {Page} page @param {string} url */
async function map(page, url) {
  await visit(page, `${url}#/map?range=15m`);
  await page.locator(".node").first().waitFor();
  assert.ok(await page.locator(".edge").count() >= 1, "edges are drawn");
  await shot(page, "map");
  for (const tool of ["Zoom in", "Zoom out", "Show all"]) await page.getByRole("button", { name: tool }).click();
  await page.locator(".edge").first().focus();
  await page.keyboard.press("Enter");
  await page.locator(".edge[aria-pressed='true']").waitFor();
  await rowsOf(page, "Requests of the selection");
  await shot(page, "map-selection");
  await page.getByRole("button", { name: "Open in the request log" }).click();
  await until(page, () => location.hash.startsWith("#/requests") && location.hash.includes("client="));
  await rowsOf(page, "Request log");
  await page.goBack();
  await page.locator(".node").last().click();
  await page.locator(".node[aria-pressed='true']").waitFor();
  await rowsOf(page, "Requests of the selection");
  await page.getByRole("button", { name: "Clear" }).click();
  await page.getByText("Nothing selected").waitFor();
}

/** @param {Page} page @param {string} url */
async function agents(page, url) {
  await visit(page, `${url}#/agents?range=15m`);
  await rowsOf(page, "Agents");
  await page.getByText("Conservation of rows").waitFor();
  // An agent lists the reasons it has met; without a loss the page says so.
  await page.getByRole("region", { name: "Losses by reason" }).locator("tbody tr, .empty").first().waitFor();
  await rowsOf(page, "All counters of the agent");
  await page.getByRole("table", { name: "Agents" }).locator("tbody tr").first().click();
  await until(page, () => location.hash.includes("agent="));
  await page.waitForTimeout(500);
  await shot(page, "agents");
}

/** A time without data says what to do. @param {Page} page @param {string} url */
async function emptiness(page, url) {
  const past = "range=1000000000-1000000600";
  await visit(page, `${url}#/overview?${past}`);
  await page.getByText("No requests in this time range").first().waitFor();
  await page.getByText("curl http://127.0.0.1/").first().waitFor();
  await visit(page, `${url}#/flows?${past}`);
  await page.getByText("No flows in this time range").waitFor();
  await visit(page, `${url}#/map?${past}`);
  await page.getByText("No requests in this time range").waitFor();
}

/** The server goes away and comes back. @param {Page} page @param {string} url */
async function outage(page, url) {
  await visit(page, `${url}#/overview?range=15m`);
  await rowsOf(page, "Services");
  breaking = true;
  await page.route("**/v1/query/", (route) => route.abort());
  await page.getByText("The server does not answer").waitFor();
  await page.unroute("**/v1/query/");
  await page.getByText("The server does not answer").waitFor({ state: "hidden" });
  breaking = false;
  await rowsOf(page, "Services");
}

/** @param {Page} page @param {string} url */
async function lightTheme(page, url) {
  await page.emulateMedia({ colorScheme: "light" });
  for (const name of ["overview", "requests", "map", "agents"]) {
    await visit(page, `${url}#/${name}?range=15m`);
    await page.waitForTimeout(1800);
    await shot(page, `${name}-light`);
  }
}

/**
 * Opens a page anew, so that nothing of the page before is left.
 * @param {Page} page
 * @param {string} address
 */
async function visit(page, address) {
  await page.goto("about:blank");
  await page.goto(address);
}

/**
 * Waits until something holds in the page. Asks by the clock: frames can stand still for long where
 * a headless browser draws in software on a busy machine.
 * @template Argument
 * @param {Page} page
 * @param {(argument: Argument) => boolean} holds
 * @param {Argument} [argument]
 */
async function until(page, holds, argument) {
  await page.waitForFunction(/** @type {any} */ (holds), argument, { polling: 100 });
}

/**
 * Waits until a table has rows, and counts them.
 * @param {Page} page
 * @param {string} name
 * @param {number} [patience]
 */
async function rowsOf(page, name, patience = PATIENCE_MS) {
  const rows = page.getByRole("table", { name, exact: true }).locator("tbody tr");
  await rows.first().waitFor({ timeout: patience });
  return rows.count();
}

/**
 * @param {Page} page
 * @param {string} selector
 */
async function numberOf(page, selector) {
  return Number(((await page.locator(selector).textContent()) ?? "").replaceAll(",", ""));
}

/** Chooses a time by dragging over the first chart. @param {Page} page */
async function drag(page) {
  const box = await page.locator(".u-over").first().boundingBox();
  assert.ok(box);
  await page.mouse.move(box.x + box.width * 0.3, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.7, box.y + box.height / 2, { steps: 5 });
  await page.mouse.up();
}

/**
 * @param {Page} page
 * @param {string} name
 */
async function shot(page, name) {
  await page.screenshot({ path: join(folder, `${name}.png`) });
}
