#!/usr/bin/env bash
# A store copied with rsync while idle, and while it is being written: the copies open, restore right
# bytes, and go on being written, checked and collected, like the original.
set -euo pipefail
bin=${CKPT_STORE_BIN:?}
command -v rsync >/dev/null || { echo "needs rsync"; exit 77; }
work=$(mktemp -d)
writer=''
cleanup() {
  [[ -z $writer ]] || kill -KILL "$writer" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
cd "$work"
fail() { echo "FAILED: $*" >&2; exit 1; }

mkdir d
head -c 2000000 /dev/urandom >d/common

# save STORE STEP: what was saved stays in known/STORE.STEP.
mkdir known
save() {
  head -c 300000 /dev/urandom >d/f
  "$bin" -s "$1" save melt d --step "$2" --quiet || fail "saving step $2 into $1"
  cp d/f "known/$1.$2"
}

# newest STORE OPTIONS...: restores; what the step of it must be is in the files of known/.
newest() {
  local store=$1 step
  shift
  rm -rf out
  "$bin" -s "$store" restore melt --to out --json "$@" >json 2>err || fail "restore from $store: $(cat err)"
  step=$(sed -n 's/.*"step": *\([0-9]*\).*/\1/p' json | head -1)
  cmp -s out/d/common d/common || fail "$store: the common file differs"
  local file
  for file in "known/$store.$step" "known/origin.$step" none; do [[ ! -e $file ]] || break; done
  cmp -s out/d/f "$file" || fail "$store: step $step has other bytes"
  echo "$step"
}

check() {
  local code=0
  "$bin" -s "$1" check --quiet >check.out 2>&1 || code=$?
  [[ " $2 " == *" $code "* ]] || fail "check of $1 answers $code: $(cat check.out)"
}

# go_on STORE CODES: it is written, checked (with one of CODES), collected.
go_on() {
  local step
  for step in 101 102 103; do save "$1" $step; done
  [[ $(newest "$1") == 103 ]] || fail "$1: the newest is not the one just saved"
  "$bin" -s "$1" gc --keep-last 2 --quiet || fail "gc of $1"
  check "$1" "$2"
  [[ $(newest "$1") == 103 ]] || fail "$1: after gc"
  save "$1" 104
  [[ $(newest "$1") == 104 ]] || fail "$1: saving after gc"
}

# Idle, its index with it.
for step in 1 2 3; do save origin $step; done
rsync -a origin/ idle/
[[ $(newest idle) == 3 ]] || fail "the copy's newest"
# Both, in turns: what one does is nothing to the other.
save origin 4
save idle 4
[[ $(newest origin) == 4 && $(newest idle) == 4 ]] || fail "diverged copies"
go_on idle 0
check origin 0
[[ $(newest origin) == 4 ]] || fail "the original after its copy was collected"
# Synchronised again, over the copy as it is now, as backups do.
# (By their bytes: within one second two index files may have one size and time.)
rsync -a --delete --ignore-times origin/ idle/
rm known/idle.*
[[ $(newest idle) == 4 ]] || fail "the copy brought up to date"
check idle 0

# While it is written: each copy holds some newest checkpoint, whole, or says what is damaged.
(
  step=5
  while [[ ! -e stop ]]; do
    save origin $step
    echo $step >last.new && mv last.new last
    step=$((step + 1))
  done
) &
writer=$!
for copy in live1 live2 live3; do
  at_least=$(cat last 2>/dev/null || echo 4)
  code=0
  rsync -a origin/ $copy/ 2>rsync.err || code=$?
  # 23, 24: a file that went meanwhile (of the index).
  [[ $code == 0 || $code == 23 || $code == 24 ]] || fail "rsync: $code $(cat rsync.err)"
  echo "$at_least" >$copy.least
done
touch stop
wait "$writer" || fail "the writer that was copied"
writer=''
for copy in live1 live2 live3; do
  "$bin" -s $copy list --json >/dev/null || fail "list of $copy"
  step=$(newest $copy --fallback)
  ((step >= $(cat $copy.least))) || fail "$copy has only step $step, $(cat $copy.least) was durable before"
  check $copy "0 3"
  go_on $copy "0 3"
  echo "copied while written: step $step"
done
go_on origin 0
echo "passed"
