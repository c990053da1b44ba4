#!/bin/sh
# Takes out of Debian's package of glibc what the server and its engine load, and its licence.
#
# In: the package, a folder. Out: the folder as a root. What is wanted and missing is an error.
set -eu
usage='usage: runtime.sh PACKAGE OUTPUT'
package=${1:?$usage} output=${2:?$usage}
umask 022
rm -rf "$output" "$output.all"
dpkg-deb -x "$package" "$output.all"
for name in ld-linux-*.so.* libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1; do
  for file in "$output.all"/lib/*-linux-gnu/$name; do
    place=$output/${file#"$output.all/"}
    # The interpreter is where programs name it.
    case $name in ld-*) place=$output/lib64/${file##*/} ;; esac
    install -D -m 755 "$file" "$place"
  done
done
install -D -m 644 "$output.all/usr/share/doc/libc6/copyright" "$output/usr/share/licenses/glibc/copyright"
rm -rf "$output.all"
