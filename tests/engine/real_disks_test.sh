#!/usr/bin/env bash
# Disks that fail and disks that are full, for real: ext4, xfs and btrfs in a file behind a loop
# device. Needs root and loop devices.
#
# 1. The file is sparse on a small tmpfs, which runs out beneath the file system: writes are accepted
#    and fsync fails, then says success although the bytes are gone. A save that meets it says so, and
#    its pack is cut back to its last mark (of ENOSPC) or never continued; every acknowledged checkpoint is there after a mount anew; the next
#    save works when there is room again. On one of them at least it is a save's own fsync that fails
#    (where strace is there to keep it from writing directly), and the kernel that then says success.
# 2. The file system itself is filled until not a block is free: everything acknowledged stays,
#    gc --keep-last 1 returns space, and saving goes on.
set -euo pipefail
bin=${CKPT_STORE_BIN:?}
((EUID == 0)) || { echo "needs root, to mount file systems"; exit 77; }
work=$(mktemp -d)
mkdir "$work/back" "$work/fs"
tested=0 skipped='' kind= prefix=() bytes=2000000
own_syncs=0 lies=0  # kinds where that was seen
clean() {
  cd /
  local n
  for n in 1 2 3 4 5; do
    mountpoint -q "$work/fs" || break
    umount "$work/fs" 2>/dev/null || umount -l "$work/fs" 2>/dev/null || sleep 0.2
  done
  losetup -j "$work/back/image" 2>/dev/null | cut -d: -f1 | xargs -r losetup -d 2>/dev/null || true
  mountpoint -q "$work/back" && { umount "$work/back" 2>/dev/null || umount -l "$work/back" || true; }
  rm -rf "$work"
}
trap clean EXIT
trap 'exit 1' INT TERM HUP
fail() {
  echo "FAILED: $kind: $*" >&2
  df "$work/fs" "$work/back" >&2 || true
  exit 1
}

# make KIND BYTES_OF_THE_IMAGE BYTES_BEHIND_IT: mounts one; status 1 where that is not possible here.
make() {
  kind=$1
  command -v "mkfs.$kind" >/dev/null || { skipped="$skipped $kind (no mkfs.$kind)"; return 1; }
  mount -t tmpfs -o "size=$3" tmpfs "$work/back"
  truncate -s "$2" "$work/back/image"
  local options=()
  case $kind in
    ext4) options=(-q -m 0 -E "lazy_itable_init=0,lazy_journal_init=0,nodiscard") ;;
    xfs) options=(-q -K) ;;
    btrfs) options=(-q -K -m dup) ;;
  esac
  if ! "mkfs.$kind" "${options[@]}" "$work/back/image" >"$work/mkfs.log" 2>&1 ||
    ! mount -o loop,nodiscard "$work/back/image" "$work/fs" 2>>"$work/mkfs.log"; then
    skipped="$skipped $kind ($(tail -n 1 "$work/mkfs.log"))"
    umount "$work/back"
    return 1
  fi
  export CKPT_STORE=$work/fs/run.ckpt
  tested=$((tested + 1))
}
unmake() {
  umount "$work/fs"
  umount "$work/back"
}

# save STEP: data of its own; answers the command's status. What was acknowledged is in $saved.
save() {
  head -c "$bytes" /dev/urandom >"$work/d/f"
  local code=0
  # A leak checker cannot look at a process that is traced.
  local asan=${ASAN_OPTIONS:-}
  ((${#prefix[@]} == 0)) || asan=${asan:+$asan:}detect_leaks=0
  ASAN_OPTIONS=$asan "${prefix[@]}" "$bin" save melt "$work/d" --step "$1" --quiet 2>"$work/err" || code=$?
  if ((code == 0)); then
    saved+=("$1")
    cp "$work/d/f" "$work/kept/$1"
  fi
  return $code
}
expect_all() {
  local step
  for step in "$@"; do
    rm -rf "$work/out"
    "$bin" restore "melt@$step" --to "$work/out" --quiet 2>"$work/err" || fail "step $step: $(cat "$work/err")"
    cmp "$work/out$work/d/f" "$work/kept/$step" 2>/dev/null || cmp "$(find "$work/out" -name f -type f)" "$work/kept/$step" ||
      fail "step $step has other bytes"
  done
}
begin() {
  rm -rf "$work/d" "$work/kept"
  mkdir "$work/d" "$work/kept"
  saved=()
}

# Of a file written through the page cache, synced twice.
what_the_kernel_says() {
  local first second=success
  first=$(dd if=/dev/urandom of="$work/fs/probe" bs=1M count=2 conv=fsync status=none 2>&1 | sed 's/^dd: //; s/[^ ]*probe.//g')
  sync "$work/fs/probe" 2>/dev/null || second=failure
  rm -f "$work/fs/probe" 2>/dev/null || true
  [[ -z $first ]] || echo " (a file of ours: $first, then $second)"
}

# Of every pack, its name and size.
sizes() { (cd "$CKPT_STORE/packs" && stat -c '%n %s' -- *); }

# has_not_grown PACK BYTES WHEN: a pack whose sync failed; it may be gone.
has_not_grown() {
  local now
  [[ -n $1 && -e $CKPT_STORE/packs/$1 ]] || return 0
  now=$(stat -c %s "$CKPT_STORE/packs/$1")
  ((now <= $2)) || fail "the pack that failed was continued by $3: $1 has $now bytes, it had $2"
}

failing_disk() {
  make "$1" "$2" "$3" || return 0
  begin
  local step failed=0 kernel='' pack='' size=0 before
  : >"$work/said"
  for step in 1 2; do save $step || fail "save $step: $(cat "$work/err")"; done
  # Direct writes fail at once. Where a file system refuses them, a pack's bytes go through the page
  # cache and it is fsync that fails: so the opening for them is made to fail, the n-th of the pack.
  local name n=0
  name=$(ls -S "$CKPT_STORE/packs" | head -n 1)
  if command -v strace >/dev/null; then
    prefix=(strace -f -qq -o "$work/trace" -P "$name" -e trace=openat)
    save 3 || fail "save 3: $(cat "$work/err")"
    n=$(grep -n O_DIRECT "$work/trace" | head -n 1 | cut -d: -f1)
    ((${n:-0} > 0)) && prefix+=(-e "inject=openat:error=EINVAL:when=$n")
  fi
  # What is left behind the image, but for a little less than a save.
  local left
  left=$(df --output=avail -k "$work/back" | tail -1)
  ((left < 1500)) || dd if=/dev/zero of="$work/back/filler" bs=1K count=$((left - 1000)) status=none
  before=$(sizes)
  for step in 4 5 6 7; do
    if save $step; then
      before=$(sizes)
      has_not_grown "$pack" "$size" "save $step"
      continue
    fi
    prefix=()
    failed=$((failed + 1))
    has_not_grown "$pack" "$size" "save $step, which failed"
    cat "$work/err" >>"$work/said"
    ((failed == 1)) || continue
    pack=$(sed -nE 's/.*sync [^ ]*([0-9a-f]{32}\.pack): .*/\1/p' "$work/err" | head -n 1)
    [[ -z $pack ]] || own_syncs=$((own_syncs + 1))
    size=$(sizes | sed -n "s/^$pack //p")
    # Cut back to what was flushed with success before.
    [[ -z $pack || $before != *"$pack $size"* ]] || pack=
    kernel=$(what_the_kernel_says)
  done
  prefix=()
  ((failed > 0)) || fail "nothing failed although the disk did"
  [[ $kernel != *"then success"* ]] || lies=$((lies + 1))
  # Room again, and the truth about what is on the disk: nothing of the page cache.
  rm -f "$work/back/filler"
  mount -o "remount,size=${4:-$2}" "$work/back"
  umount "$work/fs"
  mount -o loop,nodiscard "$work/back/image" "$work/fs" || fail "does not mount anew"
  expect_all "${saved[@]}"
  "$bin" check --quiet || fail "check after the failure"
  [[ -z $pack || ! -e $CKPT_STORE/packs/$pack ]] || size=$(stat -c %s "$CKPT_STORE/packs/$pack")
  save 8 || fail "the next save: $(cat "$work/err")"
  has_not_grown "$pack" "$size" "save 8"
  expect_all "${saved[@]}"
  "$bin" check --quiet || fail "check at the end"
  echo "$kind: ${#saved[@]} checkpoints acknowledged around $failed failed saves$kernel: $(sed "s|$work/fs/||; s/ (.*//" "$work/said" | head -n 1)"
  unmake
}

# Until there is no room for another 4 KiB.
fill() {
  cat /dev/zero >"$work/fs/filler" 2>/dev/null || true
  sync -f "$work/fs"
  cat /dev/zero >>"$work/fs/filler" 2>/dev/null || true
  local n
  for n in $(seq 1 1000); do
    dd if=/dev/zero of="$work/fs/filler.$n" bs=4K count=1 conv=fsync status=none 2>/dev/null || return 0
  done
  fail "cannot be filled"
}

full_disk() {
  make "$1" "$2" "$3" || return 0
  begin
  local step left
  save 0 || fail "the first save: $(cat "$work/err")"
  left=$(df --output=avail -k "$work/fs" | tail -1)  # a large file system, but for 10 MB
  ((left < 20000)) || fallocate -l $((left - 10000))K "$work/fs/large" 2>/dev/null || true
  for step in $(seq 1 100); do save "$step" || break; done
  ((step < 100)) || fail "never full"
  grep -qi 'space' "$work/err" || fail "the error does not say what is the matter: $(cat "$work/err")"
  fill
  expect_all "${saved[@]}"
  "$bin" gc --keep-last 1 --quiet 2>"$work/err" || fail "gc at zero bytes free: $(cat "$work/err")"
  sync -f "$work/fs"
  expect_all "${saved[-1]}"
  save 101 || fail "saving does not go on: $(cat "$work/err")"
  expect_all "${saved[@]: -2}"
  "$bin" check --quiet || fail "check at the end"
  echo "$kind: full with $((${#saved[@]} - 1)) checkpoints; gc and saves go on"
  unmake
}

failing_disk ext4 64M 24M
failing_disk xfs 300M 84M
failing_disk btrfs 120M 24M
if ((tested > 0)); then
  ((lies > 0)) || fail "the kernel never says success after a sync that failed"
  ! command -v strace >/dev/null || ((own_syncs > 0)) || fail "no save's own sync failed"
fi
bytes=700000  # no more than rm and gc have a reserve for
full_disk ext4 24M 40M
full_disk xfs 300M 140M
full_disk btrfs 220M 240M
[[ -z $skipped ]] || { echo "not run here:$skipped"; exit 77; }
echo passed
