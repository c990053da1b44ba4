# The environment in which all is compiled. The scripts beside it read it by `.`.
#
# In: `triple`, the machine that is built for, and the variables below; the source is the current
# folder. Out: cargo's environment and the function `locked_cargo`. Never: the network, a tool that is
# not named, a path, time or name of this machine in what comes out.
: "${RUST:?folder of the Rust toolchain}"
: "${ZIG:?folder with zig, which holds clang, and lib/}"
: "${CRATES:?folder of unpacked crates, as cargo vendor --versioned-dirs makes it}"
: "${SCRATCH:?folder for what is between}"
: "${REVISION:?commit of the source}"

source=$(pwd -P)
mkdir -p "$SCRATCH/bin"
SCRATCH=$(cd "$SCRATCH" && pwd -P)
RUST=$(cd "$RUST" && pwd -P) ZIG=$(cd "$ZIG" && pwd -P) CRATES=$(cd "$CRATES" && pwd -P)
host_tools=$RUST/lib/rustlib/x86_64-unknown-linux-gnu/bin
arch=${triple%%-*} libc=${triple##*-}
key=$(printf %s "$triple" | tr - _)
upper=$(printf %s "$key" | tr '[:lower:]' '[:upper:]')

# clang with its own headers only; the archiver; what strips debug information from BPF objects.
tool() {
  printf '#!/bin/sh\n%s\n' "$2" > "$SCRATCH/bin/$1"
  chmod 755 "$SCRATCH/bin/$1"
}
tool clang "exec '$ZIG/zig' clang -resource-dir '$ZIG/lib' \"\$@\""
tool ar "exec '$ZIG/zig' ar \"\$@\""
tool strip-debug "LD_LIBRARY_PATH='$RUST/lib' exec '$host_tools/rust-objcopy' \"\$@\""
# rustc knows the linker by its name. Against glibc zig links, which makes the libraries' symbols of
# that version itself, so that no glibc of this machine is asked; it unwinds by a library of its own.
# Not an older one than 2.33: there zig links a stat(2) whose errno nobody reads.
# Static programs for aarch64 it puts at a fixed address; here they get
# what those for x86_64 have: the start files for any address, and no interpreter.
if [ "$libc" = gnu ]; then
  # Macros of crates are for this machine, whose name is the same: its own linker is theirs.
  tool cc "case \" \$* \" in *' -shared '*) exec cc \"\$@\" ;; esac
for word; do
  shift
  case \$word in
    -lgcc_s) set -- \"\$@\" -lunwind ;;
    -fuse-ld=* | -B* | --target=* | -m64) ;;
    *) set -- \"\$@\" \"\$word\" ;;
  esac
done
export ZIG_GLOBAL_CACHE_DIR='$SCRATCH/zig' ZIG_LOCAL_CACHE_DIR='$SCRATCH/zig'
exec '$ZIG/zig' cc -target $arch-linux-gnu.2.34 \"\$@\""
  linker=$SCRATCH/bin/cc
elif [ "$arch" = aarch64 ]; then
  tool rust-lld "for word; do
  shift
  case \$word in
    */crt1.o) set -- \"\$@\" \"\${word%crt1.o}rcrt1.o\" ;;
    */crtbegin.o | */crtend.o) set -- \"\$@\" \"\${word%.o}S.o\" ;;
    -static) set -- \"\$@\" -static -pie --no-dynamic-linker -z text ;;
    -no-pie) ;;
    *) set -- \"\$@\" \"\$word\" ;;
  esac
done
exec '$host_tools/rust-lld' \"\$@\""
  linker=$SCRATCH/bin/rust-lld
else
  linker=$host_tools/rust-lld
fi
export DEEPFLOW_CLANG="$SCRATCH/bin/clang" DEEPFLOW_LLVM_STRIP="$SCRATCH/bin/strip-debug"

# Environment that could change a build is not taken over. umask: folders of cargo only.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS "CARGO_TARGET_${upper}_RUSTFLAGS" \
  RUSTC_WRAPPER RUSTC RUSTDOC CFLAGS CC AR RUSTC_BOOTSTRAP RUSTUP_TOOLCHAIN CARGO_BUILD_TARGET DEEPFLOW_BPF_DIR
# What `cargo xtask` says of xtask itself: build scripts (ring's) would take it for a change.
for name in $(env | sed -n 's/^\(CARGO_\(PKG\|MANIFEST\)_[A-Z_]*\)=.*/\1/p'); do unset "$name"; done
umask 022
export LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH=0 PATH="$RUST/bin:$PATH"
export CARGO_HOME="$SCRATCH/home" CARGO_TARGET_DIR="$SCRATCH/target" CARGO_INCREMENTAL=0
export DEEPFLOW_REVISION="$REVISION"

headers=$ZIG/lib/libc/include
map="-ffile-prefix-map=$CRATES=/crates -ffile-prefix-map=$SCRATCH=/scratch -ffile-prefix-map=$ZIG=/zig"
case $libc in
  gnu) generic=glibc flags=-D__GLIBC_MINOR__=34 ;;
  *) generic=musl flags= ;;
esac
flags="$flags --target=$arch-linux-$libc -nostdlibinc -isystem $headers/$arch-linux-$libc"
flags="$flags -isystem $headers/generic-$generic -isystem $headers/${arch%_64}-linux-any"
flags="$flags -isystem $headers/any-linux-any -g0 $map"
# The functions behind it are in libgcc, which is not linked.
[ "$arch" != aarch64 ] || flags="$flags -mno-outline-atomics"
export "CC_$key=$SCRATCH/bin/clang" "AR_$key=$SCRATCH/bin/ar" "CFLAGS_$key=$flags"
export "CARGO_TARGET_${upper}_LINKER=$linker"
# Of several that fit rustc takes the last: tools may lie inside of the source.
# As a setting, since the variable for it splits at spaces.
remap="\"--remap-path-prefix=$source=/src\", \"--remap-path-prefix=$RUST=/rust\""
remap="$remap, \"--remap-path-prefix=$SCRATCH=/scratch\", \"--remap-path-prefix=$CRATES=/crates\""
[ "$triple" != x86_64-unknown-linux-gnu ] || remap="$remap, \"-Clinker-features=-lld\""

# A verb of cargo on the locked crates, without network.
locked_cargo() {
  verb=$1
  shift
  cargo "$verb" --locked --offline --config 'source.crates-io.replace-with="crates"' \
    --config "source.crates.directory=\"$CRATES\"" \
    --config "target.$triple.rustflags=[$remap]" "$@"
}
