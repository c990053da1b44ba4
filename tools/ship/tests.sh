#!/bin/sh
# Runs the tests of one package with the locked tools, on this machine.
#
# In: the package's folder and words for `cargo test`; the source in the current folder; variables as
# environment.sh says. Out: what the tests print, and their outcome. What runs on this machine is
# linked by its `cc`.
set -eu
folder=${1:?usage: tests.sh FOLDER [WORD…]}
shift
triple=x86_64-unknown-linux-musl
. tools/ship/environment.sh

locked_cargo test --manifest-path "$folder/Cargo.toml" "$@"
