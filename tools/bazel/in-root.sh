#!/bin/sh
# Runs Bazel in a root of its own, with this tree at its usual place and without network.
#
# In: the root's folder (tools/bazel/root.sh makes one), Bazel's words. Out: what Bazel builds, below
# target/. Mounts end with the command.
set -eu
root=${1:?usage: in-root.sh ROOT WORD…}
shift
tree=$(pwd -P)
[ -x "$root/usr/bin/bazel" ] || { echo "no Bazel in $root: sh tools/bazel/root.sh $root" >&2; exit 1; }
mkdir -p "$root$tree"
exec unshare --mount --net sh -euc '
  root=$1 tree=$2
  shift 2
  ip link set lo up 2>/dev/null || true
  mount --bind "$tree" "$root$tree"
  mount -t proc proc "$root/proc"
  mount -t sysfs sys "$root/sys"
  mount --rbind /dev "$root/dev"
  exec chroot "$root" env -i HOME=/root PATH=/usr/bin:/bin sh -euc "
    cd \"\$1\"
    shift
    status=0
    bazel --output_user_root=/var/tmp/bazel \"\$@\" || status=\$?
    bazel --output_user_root=/var/tmp/bazel shutdown
    exit \$status
  " sh "$tree" "$@"
' sh "$root" "$tree" "$@"
