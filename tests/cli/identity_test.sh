#!/usr/bin/env bash
# Who and where one is: processes of several pid namespaces in one store, a store that is moved, two
# copies that went apart with the index of one put into the other. What does not matter to a store
# (docs/design.md) changes nothing.
set -euo pipefail
bin=${CKPT_STORE_BIN:?}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "FAILED: $*" >&2; exit 1; }

mkdir d
# save STORE STEP: the bytes follow from the two.
content() { seq "$(($2 * 1000 + ${#1}))" "$(($2 * 1000 + 60000))"; }
save() {
  content "$1" "$2" >d/f
  "$bin" -s "$1" save melt d --step "$2" --quiet --reread || fail "saving step $2 into $1"
}
# is STORE NAME ORIGIN STEP: it restores what was saved into ORIGIN at STEP.
is() {
  rm -rf out
  "$bin" -s "$1" restore "$2" --to out --quiet || fail "restore of $2 from $1"
  content "$3" "$4" | cmp -s - out/d/f || fail "$1: $2 has other bytes"
}

# Moved, its index with it; and back over a name that another store had.
for step in 1 2 3; do save a $step; done
mv a b.moved
is b.moved melt a 3
save b.moved 4
is b.moved melt@3 a 3
"$bin" -s b.moved check --quiet || fail "check of the moved store"

# Two copies go apart; then each gets the index of the other, and one of before.
cp -a b.moved one
cp -a b.moved two
cp -a b.moved/index before
save one 5
save one 6
save two 5
"$bin" -s two rm melt@2 --quiet
"$bin" -s two gc --quiet
cp -a one/index index.one
cp -a two/index index.two
for pair in one:index.two two:index.one one:before two:before; do
  store=${pair%:*}
  rm -rf "$store/index"
  cp -a "${pair#*:}" "$store/index"
  "$bin" -s "$store" check --quiet || fail "check of $store with ${pair#*:}"
  if [[ $store == one ]]; then
    is one melt one 6
    is one melt@2 a 2
  else
    is two melt two 5
    code=0
    "$bin" -s two restore melt@2 --to out --quiet 2>err || code=$?
    [[ $code == 4 ]] || fail "a removed step came back with ${pair#*:} (exit $code)"
  fi
done
# They go on, and what the other has is nothing to them: its chunks are saved, not believed in.
save one 7
save two 7
content one 6 >d/f
"$bin" -s two save other d --quiet --reread || fail "another's bytes"
for store in one two; do
  is $store melt $store 7
  "$bin" -s $store gc --keep-last 2 --quiet || fail "gc of $store"
  "$bin" -s $store check --quiet || fail "check of $store at the end"
done
is two other one 6

# The same process ids in several pid namespaces, side by side.
if unshare -pf --mount-proc true 2>/dev/null; then
  cp -a b.moved shared
  pids=()
  for n in 1 2 3 4; do
    unshare -pf --mount-proc bash -c '
      for step in 1 2 3 4 5 6; do
        seq $(('"$n"' * 1000 + step)) $(('"$n"' * 1000 + step + 20000)) >f'"$n"'
        "$0" -s shared save s'"$n"' f'"$n"' --step $step --quiet --reread || exit 1
        [ '"$n"' != 1 ] || "$0" -s shared gc --quiet || [ $? = 5 ] || exit 1
        "$0" -s shared list >/dev/null || exit 1
      done' "$bin" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || fail "a process in a namespace of its own"; done
  for n in 1 2 3 4; do
    for step in 1 2 3 4 5 6; do
      rm -rf out
      "$bin" -s shared restore s$n@$step --to out --quiet || fail "s$n@$step"
      seq $((n * 1000 + step)) $((n * 1000 + step + 20000)) | cmp -s - out/f$n || fail "s$n@$step: other bytes"
    done
  done
  "$bin" -s shared check --quiet || fail "check after the namespaces"
  diff <("$bin" -s shared list --all) <("$bin" -s shared --index-dir /dev/null list --all) || fail "index and packs differ"
else
  echo "not run here: pid namespaces need root"
  exit 77
fi
echo passed
