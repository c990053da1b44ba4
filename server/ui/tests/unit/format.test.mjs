// Numbers, times and files as people get them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { csv } from "../../src/csv.js";
import { parseDuration } from "../../src/filters.js";
import * as format from "../../src/format.js";

/**
 * @param {(value: any) => string} show
 * @param {[any, string][]} cases
 */
function check(show, cases) {
  for (const [value, text] of cases) assert.equal(show(value), text, `${show.name}(${value})`);
}

test("counts", () => check(format.count, [[0, "0"], [12, "12"], [12345, "12,345"], [1234567, "1.23 M"], [5e9, "5 G"], [null, "–"], [undefined, "–"]]));

test("rates", () => check(format.rate, [[0, "0/s"], [0.3, "0.3/s"], [0.001, "< 0.01/s"], [12.345, "12.3/s"], [999, "999/s"], [1234, "1,234/s"], [45678, "45.7 k/s"], [2.5e6, "2.5 M/s"]]));

test("durations", () => check(format.duration, [
  [0, "0 µs"], [0.4, "0.4 µs"], [853, "853 µs"], [1240, "1.24 ms"], [12400, "12.4 ms"], [999999, "1,000 ms"], [1.24e6, "1.24 s"], [119e6, "119 s"], [125e6, "2 min 5 s"], [7.2e9, "2 h"], [2e11, "2.31 d"], [null, "–"], [Number.NaN, "–"],
]));

test("bytes", () => check(format.bytes, [[0, "0 B"], [1023, "1023 B"], [1536, "1.5 KiB"], [25165824, "24 MiB"], [null, "–"]]));

test("shares never hide a failure, nor a success", () => check(format.percent, [[0, "0 %"], [0.00001, "< 0.01 %"], [0.0123, "1.23 %"], [0.319, "31.9 %"], [0.99999, "> 99.99 %"], [1, "100 %"]]));

test("times keep their microseconds", () => {
  const us = new Date(2026, 10, 22, 16, 5, 9, 123).getTime() * 1000 + 456;
  assert.equal(format.timeOfDay(us), "16:05:09.123");
  assert.equal(format.dateTime(us), "2026-11-22 16:05:09.123456");
  assert.equal(format.localInput(us / 1e6), "2026-11-22T16:05:09");
});

test("addresses and flags", () => {
  assert.equal(format.address("127.0.0.1", 80), "127.0.0.1:80");
  assert.equal(format.address("::1", 80), "[::1]:80");
  assert.equal(format.address("::1", 0), "::1");
  assert.equal(format.mac("2485377957889"), "02:42:ac:12:00:01");
  assert.equal(format.tcpFlags(0x12), "SYN ACK");
  assert.equal(format.tcpFlags(0), "–");
  assert.equal(format.ipProtocol(17), "UDP");
});

test("ages", () => check(format.age, [[0.2, "1 s ago"], [59, "59 s ago"], [300, "5 min ago"], [9000, "3 h ago"]]));

test("durations are read as they are written", () => {
  for (const [text, us] of /** @type {[string, number | null][]} */ ([["10", 10000], ["10ms", 10000], ["250us", 250], ["250 µs", 250], ["1.5s", 1.5e6], ["2m", 120e6], ["", null], ["-1", null], ["fast", null], ["1h", null]])) {
    assert.equal(parseDuration(text), us, text);
  }
});

test("CSV quotes what needs it and disarms formulas", () => {
  assert.equal(csv(["a", "b"], [{ a: 'x,"y"\n', b: null }, { a: "=cmd()", b: -5 }, { a: "-5.5", b: "@SUM(1)" }, { a: [1, "x"], b: undefined }]),
    "a,b\r\n\"x,\"\"y\"\"\n\",\r\n'=cmd(),-5\r\n-5.5,'@SUM(1)\r\n\"[1,\"\"x\"\"]\",\r\n");
});
