#!/usr/bin/env bash
# Links planted in the target of a restore between its looks and its writes: a folder of the target
# changes places with a link that leads out, again and again, while checkpoints are restored into it.
# Nothing appears outside, whatever the restore answers. (Each component is opened by its own call,
# relative to the folder before, with O_NOFOLLOW: store/io/posix_dir.cc.)
set -euo pipefail
bin=${CKPT_STORE_BIN:?}
work=$(mktemp -d)
planter=''
cleanup() {
  [[ -z $planter ]] || kill -KILL "$planter" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
cd "$work"
fail() { echo "FAILED: $*" >&2; exit 1; }

mkdir -p d/sub outside
for n in $(seq 1 150); do echo "$n" >"d/sub/f$n"; done
ln -s f1 d/sub/link
ln d/sub/f2 d/sub/hard
"$bin" -s store save melt d --quiet
mkdir -p out/d/sub
echo precious >outside/f1
touch outside/f2
look() { find outside -printf '%p %y %m %s %n %T@\n' | sort; cat outside/*; }
before=$(look)

(
  set +e
  while :; do
    rm -rf out/d/away # a restore made the folder anew meanwhile
    sleep 0.002
    mv -T out/d/sub out/d/away 2>/dev/null && ln -s "$work/outside" out/d/sub
    sleep 0.002
    rm -f out/d/sub
    mv -T out/d/away out/d/sub 2>/dev/null
  done
) 2>/dev/null &
planter=$!
done_=0 refused=0
for n in $(seq 1 "${CKPT_PLANTED_ROUNDS:-40}"); do
  code=0
  timeout 60 "$bin" -s store restore melt --to out --force --quiet 2>err || code=$?
  case $code in
    0) done_=$((done_ + 1)) ;;
    1 | 2 | 4) refused=$((refused + 1)) ;;
    *) fail "restore answers $code: $(cat err)" ;;
  esac
done
kill -KILL "$planter" && wait "$planter" 2>/dev/null || true
planter=''
[[ $(look) == "$before" ]] || fail "something outside was touched: $(diff <(echo "$before") <(look))"
rm -rf out/d/sub out/d/away
"$bin" -s store restore melt --to out --force --quiet || fail "restore afterwards"
diff -r d out/d || fail "what was restored afterwards differs"
((refused > 0)) || fail "no link was ever in the way"
echo "passed: $done_ restored, $refused refused"
