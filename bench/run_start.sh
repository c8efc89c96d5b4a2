#!/usr/bin/env bash
# bench/run_start.sh [ROUNDS]: what `ckpt-store run` adds to the start of a program with nothing to save.
#
# Interleaved, medians: the program alone; run in a store with a checkpoint of ten equal files; run
# without --save. $CKPT_STORE_BIN: the command. The figure to hold: 20 ms.
set -euo pipefail
rounds=${1:-50}
bin=${CKPT_STORE_BIN:?names the ckpt-store command}
folder=$(mktemp -d "${TMPDIR:-/tmp}/ckpt-run-start.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export CKPT_STORE=$folder/store
for i in {1..10}; do head -c 100000 /dev/urandom >"restart.$i"; done
"$bin" run -q --series s --save 'restart.*' -- true

milliseconds() {  # COMMAND...
  local begin=$EPOCHREALTIME end
  "$@" >/dev/null 2>&1
  end=$EPOCHREALTIME
  awk -v a="$begin" -v b="$end" 'BEGIN {printf "%.2f\n", (b - a) * 1000}'
}
for ((i = 0; i < rounds; ++i)); do
  milliseconds /bin/true >>alone
  milliseconds "$bin" run -q --series s --save 'restart.*' -- /bin/true >>restored
  milliseconds "$bin" run -q -- /bin/true >>bare
done
median() { sort -n "$1" | sed -n "$((rounds / 2 + 1))p"; }
a=$(median alone) r=$(median restored) b=$(median bare)
awk -v a="$a" -v r="$r" -v b="$b" 'BEGIN {
  printf "program alone              %6.2f ms\n", a
  printf "run, nothing to save       %6.2f ms   adds %.2f ms, %.2f of 20 ms\n", r, r - a, (r - a) / 20
  printf "run without --save         %6.2f ms   adds %.2f ms\n", b, b - a
}'
