#!/usr/bin/env bash
# A file system that fills up at every possible point: a clear error, everything saved before is still
# there, rm and gc return space at zero bytes free, and saving goes on. Needs root, for a small tmpfs.
set -euo pipefail
bin=${CKPT_STORE_BIN:?}
((EUID == 0)) || { echo "needs root, to mount a small file system"; exit 77; }
work=$(mktemp -d)
trap 'umount "$work/fs" 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir "$work/fs"
mount -t tmpfs -o size=12m tmpfs "$work/fs" 2>/dev/null || { echo "mounting is not allowed here"; exit 77; }
cd "$work"
fail() { echo "FAILED: $*" >&2; df "$work/fs" >&2; exit 1; }
export CKPT_STORE=$work/fs/run.ckpt

mkdir d
saved=0
for step in $(seq 1 40); do
  head -c 700000 /dev/urandom >d/f
  code=0
  "$bin" save melt d --step "$step" --quiet 2>err || code=$?
  if ((code == 0)); then
    saved=$step
    cp d/f "$work/f.$step"
    continue
  fi
  [[ $code -eq 1 ]] || fail "exit $code from a full disk: $(cat err)"
  grep -qi 'space' err || fail "the error does not say what is the matter: $(cat err)"
  break
done
((saved >= 5 && saved < 40)) || fail "the disk never filled up ($saved saves)"
# Now to the last byte.
cat /dev/zero >fs/filler 2>/dev/null || true

for step in $(seq 1 "$saved"); do
  rm -rf out
  "$bin" restore "melt@$step" --to out --quiet || fail "step $step is gone"
  cmp out/d/f "f.$step" || fail "step $step has other bytes"
done
"$bin" rm melt@1 --quiet || fail "rm on a full disk"
"$bin" gc --keep-last 1 --quiet || fail "gc on a full disk"
rm -rf out
"$bin" restore melt --to out --quiet || fail "the newest is gone after gc"
cmp out/d/f "f.$saved" || fail "the newest has other bytes after gc"
"$bin" save melt d --quiet || fail "saving does not go on after gc: $(df fs)"
"$bin" check --quiet || fail "check at the end"
echo "passed: $saved checkpoints in 12 MiB, gc at zero bytes free"
