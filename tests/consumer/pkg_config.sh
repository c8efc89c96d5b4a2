#!/usr/bin/env bash
# pkg_config.sh PREFIX BUNDLED CC CXX: compiles the consumers by hand with what pkg-config answers.
set -euo pipefail
prefix=$1 bundled=$2 cc=$3 cxx=$4
here=$(cd "$(dirname "$0")" && pwd)/project
for program in pkg-config "$cc" "$cxx"; do
  command -v "$program" >/dev/null || { echo "skipped: no $program on this machine"; exit 77; }
done
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cd "$build"
unset LD_LIBRARY_PATH
pc=$(find "$prefix" -name ckpt-store.pc)
export PKG_CONFIG_PATH=${pc%/*}
read -ra shared <<<"$(pkg-config --cflags --libs ckpt-store)"
read -ra static <<<"$(pkg-config --static --cflags --libs ckpt-store)"
libdir=$(cd "${pc%/*}/.." && pwd)
c_flags=(-std=c99 -pedantic -Wall -Wextra -Werror)
cxx_flags=(-std=c++17 -pedantic -Wall -Wextra -Werror)
if [[ $bundled == ON ]]; then c_flags+=(-DDEPENDENCIES_BUNDLED); fi

# $1: compiler, $2: source, then flags. One program with the shared, one with the static library.
build_and_run() {
  local compiler=$1 source=$2
  shift 2
  "$compiler" "$@" "$source" -o shared "${shared[@]}" -Wl,-rpath,"$libdir"
  readelf -d shared | grep -q 'NEEDED.*libckpt\.so' || { echo "shared: libckpt.so is not used"; exit 1; }
  rm -rf run.ckpt && ./shared run.ckpt
  "$compiler" "$@" "$source" -o static "${static[@]/#-lckpt/-l:libckpt.a}"
  if readelf -d static | grep -q 'NEEDED.*libckpt'; then echo "static: libckpt.so is used"; exit 1; fi
  rm -rf run.ckpt && ./static run.ckpt
}

build_and_run "$cc" "$here/consumer.c" "${c_flags[@]}"
if [[ -e $prefix/include/ckpt/ckpt.hpp ]]; then
  build_and_run "$cxx" "$here/consumer.cc" "${cxx_flags[@]}"
fi
# The C header is C++ too.
build_and_run "$cxx" "$here/consumer.c" -x c++ -std=c++17 -Wall -Wextra -Werror
