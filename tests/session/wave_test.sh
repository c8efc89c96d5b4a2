#!/usr/bin/env bash
# The example in C: stopped by SIGTERM, continued, killed by SIGKILL, continued, it ends with the result
# of a run that was never stopped.
set -euo pipefail
wave=$(dirname "$CKPT_STORE_BIN")/examples/wave
[[ -x $wave ]] || { echo "wave is not built"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
run=("$wave" --size 60 --steps 3000)
fail() { echo "$*"; cat out; exit 1; }
number_after() { grep -oP "$1\K[0-9]+" out | tail -n 1; }

# take_away SIGNAL: once it has saved.
take_away() {
  local status=0
  : >out
  "${run[@]}" --store killed.ckpt --seconds 0.1 --pace 5 --log >>out 2>&1 &
  until grep -q '^ckpt wave@' out; do
    kill -0 $! 2>/dev/null || fail "it ended before it was to be killed"
    sleep 0.02
  done
  kill "-$1" $!
  wait $! 2>/dev/null || status=$?
  ((status == 128 + $(kill -l "$1"))) || fail "exit status $status after SIG$1"
}

"${run[@]}" --store whole.ckpt >out
tail -n 1 out >expected
grep -q '^step 3000 checksum ' expected || fail "no result"

take_away TERM
stopped=$(number_after '^stopped after step ') || fail "it does not say where it stopped"
take_away KILL
[[ $(number_after '^continued from step ') == "$stopped" ]] || fail "not where it was stopped, $stopped"
saved=$(number_after '^ckpt wave@')
"${run[@]}" --store killed.ckpt >out 2>&1
(($(number_after '^continued from step ') >= saved)) || fail "from before its last checkpoint, $saved"
tail -n 1 out | cmp expected - || fail "another result than $(cat expected)"
