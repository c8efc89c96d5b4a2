#!/usr/bin/env bash
# find_package.sh PREFIX BUNDLED CC CXX: builds and runs project/ against the installed tree with CMake, as
# a C-and-C++ project and as one that has no C++ at all.
set -euo pipefail
prefix=$1 bundled=$2 cc=$3 cxx=$4
here=$(cd "$(dirname "$0")" && pwd)
for compiler in "$cc" "$cxx"; do
  command -v "$compiler" >/dev/null || { echo "skipped: no $compiler on this machine"; exit 77; }
done
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
export CC=$cc CXX=$cxx
unset LD_LIBRARY_PATH CFLAGS CXXFLAGS LDFLAGS

for languages in "C;CXX" "C"; do
  rm -rf "${build:?}"/*
  cmake -S "$here/project" -B "$build" -DCMAKE_PREFIX_PATH="$prefix" -DLANGUAGES="$languages" \
    -DBUNDLED="$bundled" >"$build/log" ||
    { cat "$build/log"; exit 1; }
  cmake --build "$build"
  for program in "$build"/consumer_*; do
    echo "run ${program##*/}"
    (cd "$build" && "$program" "${program##*/}.ckpt")
  done
done
