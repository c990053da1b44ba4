// What is vendored is what the lock says; nothing names where it came from or reaches outside.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const UI = join(import.meta.dirname, "../..");
const LOCK = JSON.parse(readFileSync(join(UI, "vendor/vendor.lock.json"), "utf8"));

test("every vendored file has the checksum of the lock", () => {
  assert.deepEqual(readdirSync(join(UI, "vendor"), { withFileTypes: true }).filter((each) => each.isDirectory()).map(({ name }) => name).sort(), LOCK.libraries.map((/** @type {any} */ { folder }) => folder).sort());
  for (const { name, version, licence, folder, files } of LOCK.libraries) {
    assert.ok(name && /^\d+\.\d+/.test(version) && licence);
    assert.deepEqual(Object.keys(files).sort(), readdirSync(join(UI, "vendor", folder)).sort());
    for (const [file, sum] of Object.entries(files)) {
      assert.equal(createHash("sha256").update(readFileSync(join(UI, "vendor", folder, file))).digest("hex"), sum, file);
    }
  }
});

test("lock files name no address to download from", () => {
  for (const file of ["vendor/vendor.lock.json", "package-lock.json"]) {
    const text = readFileSync(join(UI, file), "utf8");
    assert.doesNotMatch(text, /"resolved"|https?:\/\/[^"]*\.tgz/, file);
  }
});

test("the page loads its own files only, without inline script or style", () => {
  const html = readFileSync(join(UI, "index.html"), "utf8");
  for (const [, address] of html.matchAll(/(?:src|href)="([^"]*)"/g)) assert.doesNotMatch(address, /^(\/|[a-z]+:)/, address);
  assert.doesNotMatch(html, /<style|style=| on[a-z]+=/);
  for (const [, body] of html.matchAll(/<script[^>]*>([\s\S]*?)<\/script>/g)) assert.equal(body, "");
  for (const file of readdirSync(join(UI, "style"))) assert.doesNotMatch(readFileSync(join(UI, "style", file), "utf8"), /url\(|@import/, file);
});
