#!/bin/sh
# Makes the image of a program for one architecture. `cargo xtask images`, Nix and Bazel call this.
#
# In: the words below, the source in the current folder, inputs as images/NAME.toml names them.
# Out: an archive. Never: the network, a path or time of this machine in what comes out.
set -eu
usage='usage: image.sh NAME ARCH OUTPUT INPUT=PATH…, with IMAGES, RUST, CRATES, SCRATCH, REVISION set'
name=${1:?$usage} arch=${2:?$usage} output=${3:?$usage}
shift 3
: "${IMAGES:?$usage}"   # the image builder
: "${RUST:?$usage}"     # folder of the Rust toolchain
: "${CRATES:?$usage}"   # folder of unpacked crates
: "${SCRATCH:?$usage}"  # folder for what is between
: "${REVISION:?$usage}" # commit of the source

case $name in agent) libc=musl ;; *) libc=gnu ;; esac
rm -rf "$SCRATCH/papers-$name-$arch"
mkdir -p "$SCRATCH/papers-$name-$arch" "$SCRATCH/home"
papers=$(cd "$SCRATCH/papers-$name-$arch" && pwd -P)
export CARGO_HOME="$SCRATCH/home" PATH="$RUST/bin:$PATH" LC_ALL=C
unset RUSTUP_TOOLCHAIN RUSTC RUSTC_WRAPPER
umask 022
crates=$(cd "$CRATES" && pwd -P)
cargo metadata --format-version 1 --locked --offline --filter-platform "$arch-unknown-linux-$libc" \
  --config 'source.crates-io.replace-with="crates"' \
  --config "source.crates.directory=\"$crates\"" > "$papers/metadata.json"
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"$/\1/p' Cargo.toml)

"$IMAGES" licences --image "images/$name.toml" --metadata "$papers/metadata.json" --own LICENSE \
  --output "$papers/licences"
for input in "$@"; do
  case $input in
    runtime=*)
      sh tools/ship/runtime.sh "${input#*=}" "$papers/runtime"
      input=runtime=$papers/runtime
      ;;
  esac
  set -- "$@" --input "$input"
  shift
done
"$IMAGES" build --image "images/$name.toml" --architecture "$arch" --version "$version" \
  --revision "$REVISION" --tools tools.lock.toml --metadata "$papers/metadata.json" \
  --licences "$papers/licences" "$@" --output "$output"
"$IMAGES" verify "$output"
