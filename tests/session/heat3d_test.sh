#!/usr/bin/env bash
# heat3d killed again and again, with SIGKILL and SIGTERM by turns, ends with the very field of a run
# that was never stopped. Long form: $CKPT_TEST_ROUNDS kills.
set -euo pipefail
heat3d=$(dirname "$CKPT_STORE_BIN")/examples/heat3d
[[ -x $heat3d ]] || { echo "heat3d is not built"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
rounds=${CKPT_TEST_ROUNDS:-6}
run=("$heat3d" --size 48 --steps 40000 --seconds 0.1)

"${run[@]}" --store whole.ckpt | tail -1 >expected
for ((round = 1; ; ++round)); do
  "${run[@]}" --store killed.ckpt >out &
  pid=$!
  if ((round <= rounds)); then
    sleep "0.$((RANDOM % 6 + 2))"
    signal=$((round % 2 == 0 ? 15 : 9))
    kill -$signal $pid 2>/dev/null || true
  fi
  status=0
  wait $pid || status=$?
  ((status == 0)) && break
  ((status == 128 + signal)) || { echo "round $round: exit status $status after signal $signal"; exit 1; }
done
tail -1 out >got
cmp expected got || { echo "after $round runs: $(cat got), not $(cat expected)"; exit 1; }
"$CKPT_STORE_BIN" --store killed.ckpt check --quiet
echo "$round runs, the same field: $(cat got)"
