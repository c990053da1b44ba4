// Writes vendor.lock.json anew: run `node vendor/update.mjs` after replacing a vendored file.
// The unit test vendor.test.mjs compares the lock with the files.

import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const here = import.meta.dirname;
const file = join(here, "vendor.lock.json");
const lock = JSON.parse(readFileSync(file, "utf8"));
for (const library of lock.libraries) {
  library.files = Object.fromEntries(readdirSync(join(here, library.folder)).sort().map((name) => [
    name, createHash("sha256").update(readFileSync(join(here, library.folder, name))).digest("hex"),
  ]));
}
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
