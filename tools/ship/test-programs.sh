#!/bin/sh
# Builds the tests of every package with the locked tools, once, to be run on this machine.
#
# In: a folder; the source in the current one; variables as environment.sh says. Out: in the folder
# `target`, the programs at their places, `list`, a line for each test program (folder of its package,
# name, place), and `source`, the path that they know their source by: tests.sh runs them there. What
# runs on this machine is linked by its `cc`.
set -eu
output=${1:?usage: test-programs.sh OUTPUT}
triple=x86_64-unknown-linux-musl
. tools/ship/environment.sh

# A panic tells its line without debug information, too.
locked_cargo test --workspace --tests --no-run --message-format=json-render-diagnostics \
  --config profile.dev.debug=false --config 'profile.dev.strip="debuginfo"' > "$SCRATCH/built.json"

# Programs that tests start are built, but are no tests.
program='"executable":"\([^"]*\)"'
sed -n "s|.*$program.*|\\1|p" "$SCRATCH/built.json" | while read -r path; do
  install -D -m 755 "$path" "$output/target/${path#"$CARGO_TARGET_DIR/"}"
done
package="\"manifest_path\":\"$source/\\([^\"]*\\)/Cargo.toml\""
sed -n "s|.*$package.*\"name\":\"\\([^\"]*\\)\".*\"test\":true},\"features\".*$program.*|\\1 \\2 \\3|p" \
  "$SCRATCH/built.json" | sed "s|$CARGO_TARGET_DIR/||" | sort > "$output/list"
[ -s "$output/list" ] || { echo "cargo told no test program" >&2; exit 1; }
printf '%s\n' "$source" > "$output/source"
