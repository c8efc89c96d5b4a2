#!/usr/bin/env bash
# The command as a scientist's job script uses it: the lines of the manual, pipes, exit codes.
# The *_test.cc beside this look at every key and option; here nothing but a shell is needed.
#   $CKPT_STORE_BIN or $1: the program
set -u
bin=$(realpath "${1:-${CKPT_STORE_BIN:?the ckpt-store program}}")
work=$(mktemp -d "${TMPDIR:-/tmp}/ckpt-cli-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
unset CKPT_INDEX_DIR SLURM_JOB_ID
export CKPT_STORE=run.ckpt PATH=$(dirname "$bin"):$PATH
failures=0

fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

# expect CODE COMMAND...: its exit code; standard output in ./out, standard error in ./err.
expect() {
  local want=$1 got
  shift
  "$@" >out 2>err
  got=$?
  [ "$got" = "$want" ] || { fail "exit $got, not $want: $*"; cat err >&2; }
}

# says FILE TEXT: the file has it.
says() { grep -qF -- "$2" "$1" || { fail "no '$2' in $1"; cat "$1" >&2; }; }

# A run that checkpoints.
for step in 5000 10000 15000; do
  head -c 400000 /dev/urandom >restart.$step
  cat restart.* >state
  echo "step $step" >>log.lammps
  expect 0 ckpt-store save melt state log.lammps --step $step --reread
  says out "saved melt@$step: "
done
[ -e run.ckpt/format ] || fail "no store at \$CKPT_STORE"

expect 0 ckpt-store list
says out melt@15000
[ "$(wc -l <out)" = 4 ] || fail "list has $(wc -l <out) lines"
expect 0 ckpt-store inspect melt@5000
says out log.lammps
expect 0 ckpt-store diff melt@5000 melt@10000
says out changed
expect 0 ckpt-store stats
says out "dedup 1."

# It is killed, and continues elsewhere, without the index.
mkdir elsewhere
cp -r run.ckpt elsewhere/
rm -rf elsewhere/run.ckpt/index
(
  cd elsewhere || exit 1
  ckpt-store restore melt --to . >restored || exit 1
  cmp state ../state && cmp log.lammps ../log.lammps && echo more >>log.lammps &&
    ckpt-store save melt state log.lammps --step 20000 -q
) || fail "going on elsewhere"
expect 4 ckpt-store restore melt@20000 --to nowhere
expect 0 ckpt-store -s elsewhere/run.ckpt restore melt@20000 --to back
cmp back/log.lammps elsewhere/log.lammps || fail "what was saved elsewhere"

# Pipes.
expect 0 bash -o pipefail -c 'tar c state | ckpt-store save tars - --as state.tar && ckpt-store cat tars state.tar | tar t'
says out state
expect 0 bash -c 'ckpt-store cat melt state | cmp - state'
ckpt-store list | head -1 >/dev/null || fail "list into head"

# Housekeeping.
expect 0 ckpt-store gc --keep-last 1 --keep-every 10000
expect 0 ckpt-store list melt
[ "$(wc -l <out)" = 3 ] || fail "after gc list has $(wc -l <out) lines"
expect 2 ckpt-store rm melt
says err --force
expect 0 ckpt-store rm melt@10000
expect 0 ckpt-store freeze -- cp -r run.ckpt copy.ckpt
expect 0 ckpt-store check
expect 0 ckpt-store -s copy.ckpt check
expect 0 ckpt-store reindex

# Mistakes.
expect 2 ckpt-store lsit
says err "did you mean 'list'?"
expect 4 ckpt-store list mlet
says err "did you mean 'melt'?"
expect 4 ckpt-store -s nowhere.ckpt list
[ ! -e nowhere.ckpt ] || fail "list created a store"
expect 1 ckpt-store init

[ "$failures" = 0 ] || { echo "$failures failed" >&2; exit 1; }
echo "cli_test.sh: all passed"
