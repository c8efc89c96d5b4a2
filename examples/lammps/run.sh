#!/usr/bin/env bash
# LAMMPS with its checkpoints in a store: runs, is killed, goes on from the store, and is compared,
# digit for digit, with a LAMMPS that goes on from its own copy of the same restart file. README.md
# explains what is compared and why. The command is looked for in $CKPT_BUILD_DIR (default: build/).
set -euo pipefail

usage() {
  cat <<'END'
run.sh [--test] [--cells N | --atoms N] [--steps N] [--every N] [--keep DIR]

  --cells N   N^3 cells of 4 atoms (63: 1,000,188 atoms, restart files of 88 MB)
  --atoms N   the least number of cells with at least N atoms
  --steps N   length of the whole run (200)
  --every N   steps from one restart file to the next, a multiple of 5 (25)
  --keep DIR  work in DIR and leave everything there
  --test      a small melt; exit code 77 when LAMMPS is not on this machine
END
}

cells=63 steps=200 every=25 keep='' missing_status=1
number() { [[ $2 =~ ^[1-9][0-9]{0,8}$ ]] || { echo "$1 needs a positive number, not '$2'" >&2; exit 2; }; }
while (($# > 0)); do
  case $1 in
    --test) cells=16 steps=600 every=50 missing_status=77 ;;
    --cells) number "$1" "${2:-}"; cells=$2; shift ;;
    --atoms)
      number "$1" "${2:-}"
      for ((cells = 1; 4 * cells ** 3 < $2; cells++)); do :; done
      shift
      ;;
    --steps) number "$1" "${2:-}"; steps=$2; shift ;;
    --every) number "$1" "${2:-}"; every=$2; shift ;;
    --keep) keep=${2:?--keep needs a folder}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
((every % 5 == 0 && steps >= 4 * every && steps % every == 0)) ||
  { echo "--every must be a multiple of 5, --steps of --every and at least four times as many" >&2; exit 2; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ckpt_store=$(readlink -f "${CKPT_BUILD_DIR:-$here/../../build}/ckpt-store")
[[ -x $ckpt_store ]] || { echo "ckpt-store is not built; scripts/quickstart builds it" >&2; exit 1; }
command -v lmp >/dev/null ||
  { echo "LAMMPS (lmp) is not on this machine; on Debian: apt-get install lammps" >&2; exit $missing_status; }
export OMP_NUM_THREADS=1

work=$keep
simulation=''
cleanup() {
  [[ -z $simulation ]] || kill -KILL "$simulation" 2>/dev/null || true
  [[ -n $keep ]] || rm -rf "$work"
}
trap cleanup EXIT
if [[ -z $work ]]; then
  work=$(mktemp -d "${TMPDIR:-/tmp}/ckpt-lammps.XXXXXX")
elif [[ -d $work && -n $(ls -A "$work") ]]; then
  echo "$work is not empty" >&2
  exit 2
fi
mkdir -p "$work"/{first,copies,second,reference}
work=$(cd "$work" && pwd)
cp "$here"/in.{melt,continue,steps} "$work"/first
export CKPT_STORE=$work/melt.ckpt

if [[ -t 1 ]]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
part() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() { printf '    $ %s\n' "$*"; }
store() {
  show "ckpt-store $*"
  "$ckpt_store" "$@" | sed 's/^/      /'
}
fail() {
  printf '    %s\n' "$*" >&2
  exit 1
}

# LAMMPS writes a restart file in place, so it may be there and unfinished. The first and the last
# thing it writes into one is the same 16 bytes ("LammpS RestartT"): the file is whole when it ends
# in them and is more than the beginning.
is_whole() {
  (($(stat -c %s "$1") > 1024)) && [[ $(tail -c 16 "$1" | head -c 15 | tr '\0' '.') == "LammpS RestartT" ]]
}

# Saves each whole restart file of this folder that is not in the store yet, in order of steps.
# LAMMPS' own file is moved out of the way, to be what the continued run is compared with.
saved=0 saved_at_ms=0 interval_ms=0
now_ms() { echo $(($(date +%s%N) / 1000000)); }
save_new_restarts() {
  local step
  for step in $(find . -maxdepth 1 -name 'melt.restart.*' -printf '%f\n' | cut -d. -f3 | sort -n); do
    is_whole "melt.restart.$step" || break
    store save melt "melt.restart.$step" log.lammps in.continue in.steps --step "$step" --progress never
    mv "melt.restart.$step" "$work/copies/$1.$step"
    saved=$step
    interval_ms=$(($(now_ms) - saved_at_ms))
    saved_at_ms=$((saved_at_ms + interval_ms))
  done
}

# Starts LAMMPS in this folder, in the background: $simulation.
start() {
  show "lmp -in $*"
  lmp -screen none -in "$@" -var steps "$steps" -var every "$every" &
  simulation=$!
}

# Runs LAMMPS to its end, saving as it goes.
finish() {
  while kill -0 "$simulation" 2>/dev/null; do
    save_new_restarts "$1"
    sleep 0.05
  done
  wait "$simulation" || fail "LAMMPS failed, see its log"
  simulation=''
  save_new_restarts "$1"
}

# The rows of thermodynamic output in a log, from step $2 on.
thermo() {
  awk -v from="$2" '/^ *Step /{on = 1; next} /^Loop time/{on = 0} on && $1 ~ /^[0-9]+$/ && $1 >= from' "$1"
}

part "1. $((4 * cells ** 3)) atoms, $steps steps. Each restart file goes into the store $CKPT_STORE"
cd "$work/first"
start in.melt -var cells "$cells"
kill_after=$((every * (2 + RANDOM % 2)))
while ((saved < kill_after)) && kill -0 "$simulation" 2>/dev/null; do
  save_new_restarts first
  sleep 0.05
done
# Somewhere between this restart file and the next but one, perhaps while one is being written.
pause_ms=$((interval_ms * (30 + RANDOM % 100) / 100))
sleep "$(printf '%d.%03d' $((pause_ms / 1000)) $((pause_ms % 1000)))"

part "2. LAMMPS is killed (SIGKILL), and the folder it ran in is lost"
show "kill -KILL $simulation"
kill -KILL "$simulation" 2>/dev/null || fail "It had already ended: too few steps for this machine"
status=0
wait "$simulation" 2>/dev/null || status=$?
simulation=''
[[ $status -eq 137 ]] || fail "LAMMPS ended with status $status before it was killed"
cd "$work"
mv first/log.lammps killed.log
rm -rf first
echo "    The newest checkpoint in the store is step $saved of $steps."
restored=$saved

part "3. Elsewhere: the newest checkpoint out of the store into an empty folder, and on from there"
cd "$work/second"
store restore melt --to . --progress never
[[ -s melt.restart.$restored ]] || fail "melt.restart.$restored was not restored"
cmp "melt.restart.$restored" "$work/copies/first.$restored"
mv "melt.restart.$restored" restored
mv log.lammps log.restored
start in.continue -var restart restored
finish second

part "4. To compare: LAMMPS continued from its own copy of melt.restart.$restored, which never saw the store"
cd "$work/reference"
cp "$here"/in.{continue,steps} .
start in.continue -var restart "$work/copies/first.$restored"
wait "$simulation" || fail "LAMMPS failed, see its log"
simulation=''

part "5. Are they the same, digit for digit?"
cd "$work"
thermo second/log.lammps "$restored" >second.thermo
thermo reference/log.lammps "$restored" >reference.thermo
rows=$(wc -l <reference.thermo)
((rows == 1 + 5 * (steps - restored) / every)) || fail "$rows rows of thermodynamic output"
[[ $(tail -n 1 reference.thermo | awk '{print $1}') == "$steps" ]] || fail "the run did not reach step $steps"
show "diff reference.thermo second.thermo"
diff reference.thermo second.thermo
echo "    Yes: $rows equal rows of thermodynamic output, to 15 digits; the last ones:"
tail -n 3 second.thermo | sed 's/^/    /'
show "cmp reference/melt.restart.$steps copies/second.$steps"
cmp "reference/melt.restart.$steps" "copies/second.$steps"
echo "    And the restart files at the end: $(stat -c %s "copies/second.$steps") equal bytes."

# For information: how far the run that was killed had drifted in its last rows.
thermo killed.log $((restored + 1)) >killed.thermo
if [[ -s killed.thermo ]]; then
  last=$(tail -n 1 killed.thermo | awk '{print $1}')
  echo "    (Step $last, soon after which it was killed: the first run, then the continued ones:)"
  tail -n 1 killed.thermo | sed 's/^/    /'
  awk -v step="$last" '$1 == step' reference.thermo | sed 's/^/    /'
fi

part "6. What is in the store"
store list melt
store stats

part "Killed after step $restored of $steps, continued from the store, with the same result."
