#!/usr/bin/env bash
# symbols.sh PREFIX: both libraries define ckpt_* and nothing else for the outside, and what ckpt.h
# declares is there.
set -euo pipefail
prefix=$1
so=$(find "$prefix" -name 'libckpt.so')
archive=$(find "$prefix" -name 'libckpt.a')
failed=0

# $1: what; standard input: defined symbols.
only_ours() {
  local foreign
  if foreign=$(grep -vE '^(ckpt_[a-z0-9_]+|CKPT_[0-9]+)$'); then
    echo "$1 shows symbols that are not ckpt_*:"
    c++filt <<<"$foreign" | head -20
    failed=1
  fi
}
dynamic=$(nm -D --defined-only --without-symbol-versions "$so" | awk '{print $NF}')
static=$(nm -g --defined-only "$archive" | awk 'NF == 3 {print $3}')
only_ours libckpt.so <<<"$dynamic"
only_ours libckpt.a <<<"$static"

declared=$(gcc -E -P "$prefix/include/ckpt/ckpt.h" | grep -oE '\bckpt_[a-z0-9_]+ *\(' | tr -d ' (' | sort -u)
[[ -n $declared ]] || { echo "no function found in ckpt.h"; exit 1; }
for name in $declared; do
  grep -qx "$name" <<<"$dynamic" || { echo "libckpt.so lacks $name, declared in ckpt.h"; failed=1; }
  grep -qx "$name" <<<"$static" || { echo "libckpt.a lacks $name, declared in ckpt.h"; failed=1; }
done
readelf -d "$so" | grep -q 'SONAME.*\[libckpt\.so\.[0-9]*\]' || { echo "no versioned soname"; failed=1; }
if readelf -d "$so" | grep -q TEXTREL; then echo "libckpt.so has text relocations"; failed=1; fi
if readelf -lW "$so" | grep -q "GNU_STACK.*RWE"; then echo "libckpt.so wants an executable stack"; failed=1; fi
echo "$(wc -w <<<"$declared") functions declared and there"
exit $failed
