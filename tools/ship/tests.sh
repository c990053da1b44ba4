#!/bin/sh
# Runs the tests of one package, as test-programs.sh built them.
#
# In: what that made, the package's folder, words for each test program; the source in the current
# folder, at the path where it was then; variables as environment.sh says. Out: what the tests print,
# and their outcome. Never: those that load BPF programs into this machine's kernel (live_*).
set -eu
usage='usage: tests.sh PROGRAMS FOLDER [WORD…]'
programs=${1:?$usage} folder=${2:?$usage}
shift 2
triple=x86_64-unknown-linux-musl
. tools/ship/environment.sh

programs=$(cd "$programs" && pwd -P)
there=$(cat "$programs/source")
[ "$source" = "$there" ] || { echo "the tests know their source as $there, it is $source" >&2; exit 1; }
rm -rf "$CARGO_TARGET_DIR"
cp -as "$programs/target" "$CARGO_TARGET_DIR"
mkdir -p "$CARGO_TARGET_DIR/tmp"

# What tests ask cargo for it has from the locked crates, too.
mkdir -p "$CARGO_HOME"
printf '[source.crates-io]\nreplace-with = "crates"\n[source.crates]\ndirectory = "%s"\n' \
  "$CRATES" > "$CARGO_HOME/config.toml"
export CARGO_NET_OFFLINE=true

failed='' ran=0
cd "$folder"
export CARGO_MANIFEST_DIR="$source/$folder"
while read -r of name place <&3; do
  [ "$of" = "$folder" ] || continue
  case $name in
    live_*) echo "$name: left out, it loads BPF programs" ;;
    *)
      echo "$name:"
      ran=$((ran + 1))
      "$CARGO_TARGET_DIR/$place" "$@" 3<&- || failed="$failed $name"
      ;;
  esac
done 3< "$programs/list"
[ "$ran" -gt 0 ] || { echo "$folder has no tests" >&2; exit 1; }
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
