#!/usr/bin/env bash
# bench/run_start.sh [--check] [ROUNDS]: what `ckpt-store run` adds to the start of a program with nothing
# to save.
#
# Interleaved: the program alone; run in a store with a checkpoint of ten equal files; run without
# --save. What run adds is the difference of one round; its median and worst are printed.
# $CKPT_STORE_BIN: the command. The figure to hold: a median of 20 ms; --check: status 1 when it is missed.
set -euo pipefail
check=0
if [[ ${1-} == --check ]]; then
  check=1
  shift
fi
rounds=${1:-50} limit_ms=20 missed=0
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
# median_and_worst FILE of one number a line
median_and_worst() { sort -n "$1" | awk '{v[NR] = $1} END {print v[int(NR / 2) + 1], v[NR]}'; }
report() {  # LABEL FILE
  paste "$2" alone | awk '{printf "%.2f\n", $1 - $2}' >added
  median_and_worst "$2" >each
  median_and_worst added | paste - each | awk -v label="$1" -v limit=$limit_ms '{
    printf "%-22s %6.2f ms (worst %.2f)   adds %.2f ms (worst %.2f): %.2f of %d ms\n",
           label, $3, $4, $1, $2, $1 / limit, limit
    exit ($1 > limit)}' || missed=1
}
median_and_worst alone | awk '{printf "%-22s %6.2f ms (worst %.2f)\n", "program alone", $1, $2}'
report "run, nothing to save" restored
report "run without --save" bare
((check && missed)) && exit 1
exit 0
