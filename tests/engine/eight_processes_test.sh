#!/bin/bash
# Eight processes save, restore, remove and collect in one store, killed at random with SIGKILL;
# afterwards every checkpoint whose save answered 0 and that nobody asked to remove restores
# bit-exact, and `check` finds nothing. CKPT_EIGHT_SECONDS: how long (10).
set -u
bin=${CKPT_STORE_BIN:?the command to test}
seconds=${CKPT_EIGHT_SECONDS:-10}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export CKPT_STORE=$work/store
cd "$work" || exit 1
"$bin" init --quiet || exit 1
end=$((SECONDS + seconds))

# The bytes of a checkpoint follow from its series and step: three megabytes shared by all, a third
# that changes slowly, and some of its own.
content() {
  cat shared.bytes
  bytes_of 300000 "$1.$(($2 / 4))"
  bytes_of 60000 "$1.$2"
}
bytes_of() { awk -v n="$1" -v s="$2" 'BEGIN {
  h = 7; for (i = 1; i <= length(s); ++i) h = (h * 131 + index("abcdefghijklmnopqrstuvwxyz.0123456789", substr(s, i, 1))) % 2147483647
  for (i = 0; i < n / 16; ++i) { h = (h * 48271) % 2147483647; g = (h * 7 + i) % 2147483647; printf "%08x%08x", h, g } }'; }
bytes_of 3000000 shared >shared.bytes

# Runs a command and kills it in one of three cases, at some moment of its life.
maybe_killed() {
  "$@" >/dev/null 2>>errors &
  local pid=$!
  if ((RANDOM % 3 == 0)); then
    sleep "0.0$((RANDOM % 90 + 10))"
    kill -KILL "$pid" 2>/dev/null
  fi
  wait "$pid" 2>/dev/null
}

saver() {
  local step=0 series=$1
  while ((SECONDS < end)); do
    ((++step))
    content "$series" "$step" >"$series.data"
    sleep 0.01
    if maybe_killed "$bin" save "$series" "$series.data" --step "$step" --quiet; then
      echo "$series $step" >>"acknowledged.$series"
      # Now and then an older one goes.
      if ((step > 4 && step % 3 == 0)); then
        echo "$series $((step - 3))" >>"removing.$series"
        maybe_killed "$bin" rm "$series@$((step - 3))" --quiet
      fi
    fi
  done
}
restorer() {
  local n=0
  while ((SECONDS < end)); do
    local series=s$((RANDOM % 4 + 1))
    mkdir -p "out.$1.$((++n))"
    maybe_killed "$bin" restore "$series" --to "out.$1.$n" --quiet
    rm -rf "out.$1.$n"
  done
}
collector() {
  while ((SECONDS < end)); do
    maybe_killed "$bin" gc --quiet
    sleep 0.05
  done
}

for n in 1 2 3 4; do saver "s$n" & done
restorer 1 &
restorer 2 &
collector &
collector &
wait

failed=0
# What the index says, and what the packs say.
diff <("$bin" list --all) <("$bin" --index-dir /dev/null list --all) >list.diff 2>&1 ||
  { echo "the index and the packs differ:"; cat list.diff; failed=1; }
"$bin" check >check.out 2>&1 || { echo "check:"; cat check.out; failed=1; }
"$bin" gc --quiet >gc.out 2>&1 || { echo "gc:"; cat gc.out; failed=1; }
acknowledged=0
cat acknowledged.* >all 2>/dev/null
cat removing.* >gone 2>/dev/null
while read -r series step; do
  if grep -qx "$series $step" gone; then continue; fi
  ((++acknowledged))
  rm -rf back && mkdir back
  if ! "$bin" restore "$series@$step" --to back --quiet 2>restore.err; then
    echo "$series@$step was acknowledged: $(cat restore.err)"
    failed=1
    continue
  fi
  content "$series" "$step" | cmp -s - "back/$series.data" || { echo "$series@$step: WRONG BYTES"; failed=1; }
done <all
grep -iE "corrupt|damaged|internal" errors | sort | uniq -c | head
echo "$(wc -l <all) acknowledged, $acknowledged of them restored"
((acknowledged > 0)) || failed=1
exit $failed
