#!/bin/sh
# Makes a root with Bazel 7.7.1, which Debian has in sid alone (package bazel-bootstrap): 3 GB.
#
# In: a folder; the archive is the one that this machine's own APT uses. Out: the root. Needs root
# and the package debootstrap.
set -eu
root=${1:?usage: root.sh FOLDER}
command -v debootstrap >/dev/null || { echo "root.sh: no debootstrap: apt-get install debootstrap" >&2; exit 1; }
archive=$(grep -rhosE '[a-z]+://[^ ]*/debian( |$)' /etc/apt/sources.list /etc/apt/sources.list.d |
  head -n 1 | tr -d ' ')
debootstrap --variant=minbase sid "$root" "$archive"
[ ! -f /etc/resolv.conf ] || cp /etc/resolv.conf "$root/etc/resolv.conf"
# Java's package looks into /proc while it is configured.
unshare --mount sh -euc '
  mount -t proc proc "$1/proc"
  chroot "$1" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends bazel-bootstrap git gcc libc6-dev
  chroot "$1" apt-get clean
' sh "$root"
