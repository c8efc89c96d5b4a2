#!/usr/bin/env bash
# A simulation saves into a store, is killed, goes on from the store, and ends where a run that was
# never killed ends. Built programs are looked for in $CKPT_BUILD_DIR (default: build/).
#
# --test: the same, with fewer steps. CKPT_QUICKSTART_DIR keeps the files there, else they go.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${CKPT_BUILD_DIR:-$here/../../build}
heat2d=$(readlink -f "$build/examples/heat2d")
ckpt_store=$(readlink -f "$build/ckpt-store")
for program in "$heat2d" "$ckpt_store"; do
  [[ -x $program ]] || { echo "${program##*/} is not built; scripts/quickstart builds it" >&2; exit 1; }
done

size=1024 steps=6000 every=500
case ${1:-} in
  '') ;;
  --test) steps=4000 every=250 ;;
  *) echo "usage: run.sh [--test]" >&2; exit 2 ;;
esac

work=${CKPT_QUICKSTART_DIR:-}
simulation=''
cleanup() {
  [[ -z $simulation ]] || kill -KILL "$simulation" 2>/dev/null || true
  [[ -n ${CKPT_QUICKSTART_DIR:-} ]] || rm -rf "$work"
}
trap cleanup EXIT
[[ -n $work ]] || work=$(mktemp -d "${TMPDIR:-/tmp}/ckpt-quickstart.XXXXXX")
mkdir -p "$work"/{reference,first,second}
export CKPT_STORE=$work/run.ckpt

if [[ -t 1 ]]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
part() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() { printf '    $ %s\n' "$*"; }

# Saves each state of the folder that is there and not yet saved, oldest first; then the file can go.
save_new_states() {
  local step
  for step in $(find . -name 'heat.*.state' -printf '%f\n' | cut -d. -f2 | sort -n); do
    mv "heat.$step.state" heat.state
    show "ckpt-store save heat heat.state --step $step"
    "$ckpt_store" save heat heat.state --step "$step" --progress never | sed 's/^/      /'
    saved=$step
  done
}

# Starts heat2d with the arguments in this folder, in the background: $simulation.
start() {
  show "heat2d $*"
  "$heat2d" "$@" &
  simulation=$!
}

part "1. The result to compare with: a run that nobody disturbs"
cd "$work/reference"
show "heat2d --size $size --steps $steps --every $steps"
"$heat2d" --size $size --steps $steps --every $steps
echo "    $steps steps done, final.state has $(stat -c %s final.state) bytes."

part "2. The same run again. Each state it writes goes into the store $CKPT_STORE"
cd "$work/first"
start --size $size --steps $steps --every $every
saved=0
kill_after=$((every * (2 + RANDOM % 4)))
while ((saved < kill_after)) && kill -0 "$simulation" 2>/dev/null; do
  save_new_states
  sleep 0.02
done
# Somewhere between two checkpoints.
sleep "0.0$((RANDOM % 10))"

part "3. It is killed (SIGKILL: it cannot clean up), and everything it had on disk is lost"
show "kill -KILL $simulation"
kill -KILL "$simulation" 2>/dev/null || { echo "    It had already ended: this machine is too slow to save beside it." >&2; exit 1; }
status=0
wait "$simulation" 2>/dev/null || status=$?
simulation=''
[[ $status -eq 137 ]] || { echo "    heat2d ended with status $status before it was killed" >&2; exit 1; }
cd "$work"
rm -rf first
restored_step=$saved
echo "    Only the store is left. Its newest checkpoint is step $saved of $steps."

part "4. Elsewhere: the newest checkpoint out of the store, and on from there"
cd "$work/second"
show "ckpt-store restore heat --to ."
"$ckpt_store" restore heat --to . --progress never | sed 's/^/      /'
[[ -s heat.state ]] || { echo "    nothing was restored" >&2; exit 1; }
mv heat.state restored.state
start --steps $steps --every $every --restart restored.state
while kill -0 "$simulation" 2>/dev/null; do
  save_new_states
  sleep 0.02
done
wait "$simulation"
simulation=''
save_new_states
echo "    heat2d has finished: $saved of $steps steps done."

part "5. Is it the same result, to the last bit?"
show "cmp reference/final.state second/final.state"
cmp "$work/reference/final.state" "$work/second/final.state"
echo "    Yes: $(stat -c %s final.state) equal bytes."

part "6. What is in the store"
show "ckpt-store list"
"$ckpt_store" list
show "ckpt-store stats"
"$ckpt_store" stats

part "Killed after step $restored_step of $steps, finished all the same, with the same result."
