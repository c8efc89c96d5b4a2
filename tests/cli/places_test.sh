#!/usr/bin/env bash
# One store looked at from everywhere: by another user who may only read, on a read-only mount, from
# another host, beside a running save, beside a stopped process; and gone on with from another host.
# Parts that need root or mounts are named when they cannot run.
set -euo pipefail
bin=${CKPT_STORE_BIN:?}
work=$(mktemp -d)
mounts=()
writer=''
cleanup() {
  [[ -z $writer ]] || kill -KILL "$writer" 2>/dev/null || true
  for m in "${mounts[@]}"; do umount "$m" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT
cd "$work"
fail() { echo "FAILED: $*" >&2; exit 1; }
skipped=0
skip() {
  echo "not run here: $*"
  skipped=77
}

mkdir d
head -c 3000000 /dev/urandom >d/random
seq 1 100000 >d/text
export CKPT_STORE=$work/run.ckpt
"$bin" save melt d --step 1 --quiet
seq 2 100000 >d/text
"$bin" save melt d --step 2 --quiet

# look STORE [PREFIX...]: list, inspect, check and restore, each as the prefix says.
look() {
  local store=$1 out
  shift
  out=$(mktemp -d -p "$work")
  chmod 777 "$out"
  [[ $("$@" "$bin" -s "$store" list melt | grep -c '^melt@') -ge 2 ]] || fail "list in $store"
  "$@" "$bin" -s "$store" inspect melt@2 | grep -q d/random || fail "inspect in $store"
  "$@" "$bin" -s "$store" check --quiet || fail "check in $store"
  "$@" "$bin" -s "$store" restore melt --to "$out/to" --quiet || fail "restore from $store"
  diff -r d "$out/to/d" || fail "what $store restored differs"
  rm -rf "$out"
}

look "$CKPT_STORE" env
before=$(find run.ckpt -type f -printf '%P %s %T@\n' | grep -v '^index/' | sort | sha256sum)
look "$CKPT_STORE" env CKPT_HOST_ID=elsewhere CKPT_INDEX_DIR="$work/no-such-folder"
after=$(find run.ckpt -type f -printf '%P %s %T@\n' | grep -v '^index/' | sort | sha256sum)
[[ $before == "$after" ]] || fail "looking changed the store"
[[ ! -e $work/no-such-folder ]] || fail "looking made an index"

if ((EUID == 0)) && command -v setpriv >/dev/null; then
  nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
  cp -r run.ckpt readable.ckpt
  chmod -R a+rX readable.ckpt "$work"
  if "${nobody[@]}" test -x "$bin"; then
    look "$work/readable.ckpt" "${nobody[@]}"
    code=0
    "${nobody[@]}" "$bin" -s "$work/readable.ckpt" save melt d --quiet 2>err || code=$?
    [[ $code -eq 1 ]] || fail "another's store was written into (exit $code)"
    grep -qi 'trust-owner\|permission' err || fail "no way out is named: $(cat err)"
  else
    skip "another user: the build folder is closed to others"
  fi
  mkdir ro
  if mount --bind run.ckpt ro 2>/dev/null; then
    mounts+=("$work/ro")
    mount -o remount,ro,bind ro
    look "$work/ro" env
    code=0
    "$bin" -s ro save melt d --quiet 2>err || code=$?
    [[ $code -eq 1 ]] || fail "a save into a read-only mount answered $code"
    grep -q read-only err || fail "the reason is not named: $(cat err)"
  else
    skip "a read-only mount: mounting is not allowed"
  fi
else
  skip "another user and a read-only mount: they need root"
fi

# Beside a save that is under way, and one that is stopped (it holds its locks for as long).
mkfifo pipe
"$bin" save stream - --as data --quiet <pipe &
writer=$!
exec 7>pipe
head -c 20000000 /dev/urandom >&7
look "$CKPT_STORE" env
kill -STOP "$writer"
look "$CKPT_STORE" env
timeout 20 "$bin" save melt d --step 3 --quiet || fail "a stopped process delays another series' save"
kill -CONT "$writer"
exec 7>&-
wait "$writer" || fail "the save beside others failed"
writer=''
"$bin" list stream | grep -q stream@1 || fail "the stream's checkpoint is missing"

# The ordinary life of a requeued job: restored and gone on with elsewhere, with the index of neither.
for host in one two three; do
  export CKPT_HOST_ID=$host CKPT_INDEX_DIR=$work/index-$host
  mkdir -p "$CKPT_INDEX_DIR" "job-$host"
  (cd "job-$host" && "$bin" restore melt --to . --quiet && echo "$host" >>d/text &&
    "$bin" save melt d --quiet) || fail "going on at host $host"
  cp -r "job-$host/d" newest
  rm -rf "job-$host" d
  mv newest d
done
unset CKPT_INDEX_DIR
look "$CKPT_STORE" env
[[ $(tail -n 3 d/text | tr '\n' ' ') == "one two three " ]] || fail "a host's work is lost"
"$bin" check --quiet || fail "check at the end"
((skipped == 0)) || exit "$skipped"
echo passed
