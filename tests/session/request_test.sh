#!/usr/bin/env bash
# `request` asks a running session: heat3d, which by itself would not save for days.
set -euo pipefail
heat3d=$(dirname "$CKPT_STORE_BIN")/examples/heat3d
[[ -x $heat3d ]] || { echo "heat3d is not built"; exit 77; }
work=$(mktemp -d)
pid=
trap 'kill -9 $pid 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

fail() { echo "$*" >&2; exit 1; }
store() { "$CKPT_STORE_BIN" --store run.ckpt "$@"; }

"$heat3d" --size 24 --steps 1000000000 --every 1000000000 --pace 5 --store run.ckpt >out &
pid=$!
until grep -q 'from the beginning' out; do
  kill -0 $pid || fail "heat3d has ended"
  sleep 0.05
done
before=0
for round in 1 2; do
  said=$(store request heat3d --timeout 60s) || fail "round $round: exit status $?"
  [[ $said =~ ^saved\ heat3d@([0-9]+), ]] || fail "round $round: $said"
  step=${BASH_REMATCH[1]}
  ((step > before)) || fail "round $round: step $step after $before"
  store inspect heat3d@"$step" --json >inspected
  grep -q '"state": *"committed"' inspected || fail "step $step is not committed"
  kill -0 $pid || fail "heat3d has ended"
  before=$step
done
kill -TERM $pid
status=0
wait $pid || status=$?
((status == 128 + 15)) || fail "stopped with $status"
status=0
store request heat3d 2>said || status=$?
((status == 4)) || fail "with nobody at work: exit status $status, $(cat said)"
