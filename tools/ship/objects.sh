#!/bin/sh
# Compiles the BPF objects as they are in the agent, without the agent.
#
# In: a folder; the source in the current one; variables as environment.sh says. Out: the objects in
# the folder. Which there are, agent/source/build.rs says.
set -eu
output=${1:?usage: objects.sh OUTPUT}
triple=x86_64-unknown-linux-musl
. tools/ship/environment.sh

rm -rf "$CARGO_TARGET_DIR/$triple/release/build/source-"*
locked_cargo check --release --target "$triple" --package source >&2

mkdir -p "$output"
install -m 644 "$CARGO_TARGET_DIR/$triple/release/build/source-"*/out/*.o "$output/"
