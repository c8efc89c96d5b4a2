#!/usr/bin/env bash
# docs/format.md is enough to write a reader: reader.py, written from that page alone, reads stores of every
# kind and gets the bytes that `restore` and `cat` give.
set -euo pipefail
bin=${CKPT_STORE_BIN:?}
source_dir=${CKPT_SOURCE_DIR:?}
python=/usr/bin/python3  # for which Debian's packages are
"$python" -c "import xxhash, zstandard" 2>/dev/null || { echo "needs python3-xxhash and python3-zstandard"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export CKPT_INDEX_DIR=$work/index
unset CKPT_STORE
fail() { echo "FAILED: $*" >&2; exit 1; }

# read_all STORE: reads it with reader.py and compares each checkpoint that `list` knows.
read_all() {
  local store=$1 name count=0
  rm -rf read want
  "$python" "$source_dir/tests/format/reader.py" "$store" read >said || fail "reader.py of $store"
  cat said
  while read -r name; do
    ((++count))
    compare "$store" "$name"
  done < <("$bin" -s "$store" list --all --json | "$python" -c '
import json, sys
for c in json.load(sys.stdin): print("%s@%d:%d" % (c["series"], c["attempt"], c["step"]))')
  ((count > 0)) || fail "$store: nothing listed"
  [[ $(find read -mindepth 1 -maxdepth 1 | wc -l) == "$count" ]] || fail "$store: $count listed, read: $(ls read)"
}

# compare STORE CHECKPOINT: files as restored, arrays as `cat` gives them.
compare() {
  local array
  rm -rf want
  "$bin" -s "$1" inspect "$2" --json | "$python" -c '
import json, sys
for e in json.load(sys.stdin)["entries"]:
    if e["kind"] == "array": print(e["name"])' >arrays
  if [[ ! -s arrays ]]; then
    "$bin" -s "$1" restore "$2" --to want --quiet || fail "restore of $2"
    diff -r --no-dereference "read/$2" want || fail "$2 differs"
  fi
  while read -r array; do
    "$bin" -s "$1" cat "$2" "$array" | cmp - "read/$2/$array" || fail "array $array of $2 differs"
  done <arrays
}

# Every kind of entry, payloads of every codec, a list of two levels, sealed packs, removed steps, a second
# attempt, and what a collection leaves.
mkdir -p tree/deep/er tree/empty
head -c 3000000 /dev/urandom >tree/random
head -c 200 /dev/urandom >tree/inline
seq 200000 >tree/deep/text
"$python" -c '
import struct
with open("tree/doubles", "wb") as f:
    for i in range(60000): f.write(struct.pack("<d", 1 + i * 1e-7))'
: >tree/deep/er/nothing
ln -s ../random tree/deep/link
ln tree/random tree/deep/same
truncate -s 4M tree/holes
printf x | dd of=tree/holes bs=1 seek=2000000 conv=notrunc status=none
for i in $(seq 300); do echo "$i" >"tree/deep/er/$i"; done
"$bin" -s s.ckpt init --chunk-size 4K --quiet
"$python" - <<'EOF'
import struct, xxhash
with open("s.ckpt/format", "r+b") as f:  # packs are sealed beyond 1 MiB instead of 512
    data = bytearray(f.read())
    struct.pack_into("<Q", data, 96, 1 << 20)
    struct.pack_into("<Q", data, 4088, xxhash.xxh3_64_intdigest(bytes(data[:4088])))
    f.seek(0)
    f.write(data)
EOF
for step in 1 2 3 4 5 6; do
  head -c 70000 /dev/urandom | dd of=tree/random bs=1 seek=$((step * 300000)) conv=notrunc status=none
  "$bin" -s s.ckpt save melt tree --step $step --tag n=$step --quiet
done
"$bin" -s s.ckpt save melt tree/deep --step 3 --quiet
seq 50000 | "$bin" -s s.ckpt save other - --as numbers --quiet
read_all s.ckpt
grep -q '([1-9][0-9]* sealed).* [2-7] levels, codecs 0 1 2 ' said || fail "the store is too simple: $(cat said)"
"$bin" -s s.ckpt rm melt@1:2 --quiet
"$bin" -s s.ckpt gc --keep-last 3 --quiet
read_all s.ckpt

# Arrays, and format 1 as it was when it was fixed.
cp -r "$source_dir/tests/golden/format-1.ckpt" golden.ckpt
chmod -R u+rwX,go= golden.ckpt
read_all golden.ckpt

# Differences, from a base that only they need.
cp -r "$source_dir/tests/golden/deltas.ckpt" deltas.ckpt
chmod -R u+rwX,go= deltas.ckpt
read_all deltas.ckpt
grep -q 'codecs .*16 17 ' said || fail "no deltas in the store: $(cat said)"

# A flipped bit of a payload is seen: reader.py looks.
pack=$(ls -S s.ckpt/packs/*.pack | head -1)
"$python" - "$pack" <<'EOF'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(5000)
    byte = f.read(1)[0]
    f.seek(5000)
    f.write(bytes([byte ^ 1]))
EOF
! "$python" "$source_dir/tests/format/reader.py" s.ckpt again 2>/dev/null || fail "a flipped bit went unseen"
echo "every checkpoint read alike"
