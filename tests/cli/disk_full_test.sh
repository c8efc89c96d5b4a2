#!/usr/bin/env bash
# A file system that fills up at every possible point: a clear error, everything saved before is still
# there, rm and gc return space at zero bytes free, and saving goes on; also when the only pack holds
# more of use than the reserve has room for. Needs root, for small file systems: a tmpfs, and ext4 and
# xfs in a file where loop devices are to be had.
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
# fill FILE: until there is no room for another 4 KiB.
fill() {
  cat /dev/zero >"$1" 2>/dev/null || true
  sync -f "$1"
  cat /dev/zero >>"$1" 2>/dev/null || true
  local n
  for n in $(seq 1 1000); do
    dd if=/dev/zero of="$1.$n" bs=4K count=1 conv=fsync status=none 2>/dev/null || break
  done
  # (xfs keeps some blocks to itself that df counts.)
  ((n < 1000 && $(df --output=avail -k fs | tail -1) < 200)) || fail "cannot be filled"
}
fill fs/filler

# The target of a restore is full: removing checkpoints may be no help at all, and is not advised.
code=0
"$bin" restore "melt@$saved" --to fs/out --quiet 2>err || code=$?
[[ $code -eq 1 ]] || fail "exit $code from a restore onto a full disk: $(cat err)"
grep -qi 'space' err || fail "the error does not say what is the matter: $(cat err)"
if grep -q "'gc'" err; then fail "a full target is no reason to collect: $(cat err)"; fi
rm -rf fs/out

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
echo "tmpfs: $saved checkpoints in 12 MiB, gc at zero bytes free"
umount "$work/fs"

# One pack of 30 MB, of which three files in five are garbage, file by file; then not a byte is free.
full_of_garbage() {
  local where=$1
  export CKPT_STORE=$work/fs/garbage.ckpt
  rm -rf d kept out
  mkdir d kept
  for i in $(seq -w 0 299); do head -c 100000 /dev/urandom >"d/$i"; done
  "$bin" save run d --quiet || fail "$where: the first save"
  for i in $(seq -w 0 299); do
    if ((10#$i % 5 < 2)); then cp -p "d/$i" kept/; else rm "d/$i"; fi
  done
  "$bin" save run d --quiet || fail "$where: the second save"
  (($(ls "$CKPT_STORE/packs" | wc -l) == 2)) || fail "$where: not one pack and the reserve"
  fill fs/filler
  local before after
  before=$(df --output=used -k fs | tail -1)
  "$bin" gc --keep-last 1 >gc.out 2>gc.err || fail "$where: gc: $(cat gc.err)"
  sync -f fs/filler
  after=$(df --output=used -k fs | tail -1)
  ((before - after >= 15000)) || fail "$where: of 18 MB of garbage gc freed $((before - after)) KiB: $(cat gc.out gc.err)"
  "$bin" restore run --to out --quiet || fail "$where: restore after gc"
  diff -r out/d kept || fail "$where: other bytes after gc"
  "$bin" check --quiet || fail "$where: check after gc"
  head -c 3000000 /dev/urandom >d/new
  cp -p d/new kept/new
  "$bin" save run d --quiet || fail "$where: saving does not go on after gc"
  rm -rf out
  "$bin" restore run --to out --quiet || fail "$where: restore at the end"
  diff -r out/d kept || fail "$where: other bytes at the end"
  "$bin" check --quiet || fail "$where: check at the end"
  echo "$where: gc freed $((before - after)) KiB of a full disk whose only pack has 12 MB of survivors"
}

mount -t tmpfs -o size=34m tmpfs "$work/fs"
full_of_garbage tmpfs
umount "$work/fs"

skipped=''
# on_loop KIND SIZE OPTION...
on_loop() {
  local kind=$1 size=$2 left
  shift 2
  rm -f image
  truncate -s "$size" image
  if ! "mkfs.$kind" -q "$@" image 2>/dev/null || ! mount -o loop image "$work/fs" 2>/dev/null; then
    skipped="$skipped $kind"
    return
  fi
  left=$(df --output=avail -k fs | tail -1)  # a large file system, but for 40 MB
  ((left < 60000)) || fallocate -l $((left - 40000))K fs/large
  full_of_garbage "$kind"
  umount "$work/fs"
}
on_loop ext4 48M -m 0
on_loop xfs 300M
[[ -z $skipped ]] || { echo "not run, no loop device or mkfs here:$skipped"; exit 77; }
echo passed
