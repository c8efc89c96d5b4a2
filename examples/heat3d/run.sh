#!/usr/bin/env bash
# heat3d saves itself, is stopped by SIGTERM, started again, killed by SIGKILL, started again, and
# ends with the result of a run that nobody stopped. Built programs are looked for in
# $CKPT_BUILD_DIR (default: build/).
#
# --test: the same, shorter. CKPT_EXAMPLE_DIR keeps the files there, else they go.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${CKPT_BUILD_DIR:-$here/../../build}
for program in ckpt-store examples/heat3d; do
  if [[ ! -x $build/$program ]]; then
    echo "${program##*/} is not built; scripts/quickstart builds it" >&2
    exit 1
  fi
done
PATH=$(cd "$build" && pwd):$(cd "$build/examples" && pwd):$PATH

# Each step takes so many milliseconds at least, so that there is time to look.
size=160 steps=500 every=50 pace=12
case ${1:-} in
  '') ;;
  --test) size=64 steps=400 every=40 pace=8 ;;
  *) echo "usage: run.sh [--test]" >&2; exit 2 ;;
esac

work=${CKPT_EXAMPLE_DIR:-}
simulation=''
cleanup() {
  [[ -z $simulation ]] || kill -KILL "$simulation" 2>/dev/null || true
  [[ -n ${CKPT_EXAMPLE_DIR:-} ]] || rm -rf "$work"
}
trap cleanup EXIT
[[ -n $work ]] || work=$(mktemp -d "${TMPDIR:-/tmp}/ckpt-heat3d.XXXXXX")
mkdir -p "$work" && cd "$work"
export CKPT_STORE=run.ckpt

if [[ -t 1 ]]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
part() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() { printf '    $ %s\n' "$*"; }
fail() { printf '    %s\n' "$*" >&2; exit 1; }

# saved_beyond FILE STEP: its log tells of a checkpoint after that step.
saved_beyond() {
  local saved
  saved=$(grep -oP '^ckpt heat3d@\K[0-9]+' "$1" | tail -n 1)
  ((${saved:-0} > $2))
}
# The same lines, shorter.
shorten='s/^/      /; s/; [0-9]* bytes, \([0-9]*\) changed, \([0-9]*\) stored/; \1 bytes changed, \2 stored/'

# Starts heat3d, which logs its saves. With SIGNAL and STEP, that signal comes a moment after the
# first checkpoint beyond STEP. Its output stays in $out, its exit status in $status.
run() {
  local signal=${1-} step=${2-}
  local arguments=(--size "$size" --steps "$steps" --every "$every" --pace "$pace" --keep 20 --log)
  out=out.$((++runs)) status=0
  show "heat3d ${arguments[*]}"
  : >"$out"
  heat3d "${arguments[@]}" >"$out" 2>&1 &
  simulation=$!
  tail -n +1 -s 0.1 -f --pid=$simulation "$out" | sed -u "$shorten" &
  local shown=$!
  if [[ -n $signal ]]; then
    until saved_beyond "$out" "$step"; do
      kill -0 $simulation 2>/dev/null || fail "heat3d ended before it was to be killed"
      sleep 0.02
    done
    sleep "0.$((RANDOM % 3 + 1))"
    kill -"$signal" $simulation
  fi
  wait $simulation 2>/dev/null || status=$?
  simulation=''
  wait $shown
  if [[ -n $signal ]]; then show "kill -$signal     # exit status $status"; fi
}
runs=0
word_after() { grep -oP "^$2 \K[0-9a-f]+" "$1" | tail -n 1; }

part "1. The result to compare with: a run that nobody stops"
show "heat3d --size $size --steps $steps --store whole.ckpt"
heat3d --size $size --steps $steps --store whole.ckpt | tee whole.txt | sed 's/^/      /'
expected=$(grep checksum whole.txt)

part "2. The same, saving itself every $every steps, until SIGTERM comes: a time limit, or preemption"
run TERM $((steps / 4))
((status == 143)) || fail "heat3d ended with status $status, not by SIGTERM"
stopped=$(word_after "$out" "stopped after step")
echo "    It saved once more when it was told to stop, and ended by the signal."

part "3. Started again, until SIGKILL comes: out of memory, or a lost node. Nobody can save now"
run KILL $((steps / 2))
((status == 137)) || fail "heat3d ended with status $status, not by SIGKILL"
continued=$(word_after "$out" "continued from step")
[[ $continued == "$stopped" ]] || fail "continued from step $continued, not from $stopped"
echo "    It had continued where it was stopped: no step was done twice."

part "4. Started again: from the last checkpoint to the end"
run
((status == 0)) || fail "heat3d ended with status $status"
killed_at=$(word_after "$out" "continued from step")
((killed_at > steps / 2)) || fail "continued from step $killed_at: there was a later checkpoint"
result=$(grep checksum "$out")

part "5. Is it the same result, to the last bit?"
[[ $result == "$expected" ]] || fail "No: '$result' is not '$expected'."
printf '      %s   never stopped\n      %s   stopped twice\n    Yes.\n' "$expected" "$result"

part "6. What is in the store"
show "ckpt-store list"
ckpt-store list
show "ckpt-store stats"
ckpt-store stats

part "Stopped at step $stopped, killed beyond step $killed_at of $steps, finished with the same result."
