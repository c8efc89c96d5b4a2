#!/usr/bin/env bash
# What scripts/test and scripts/quickstart do about missing packages: each is named before anything is installed,
# by root or through sudo; who may not install is shown the command.
set -euo pipefail
lib=${CKPT_SOURCE_DIR:?}/scripts/lib.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# A machine on which these tools are all there is, and no package is installed.
mkdir "$work/bin"
for tool in bash env grep sed head tail dirname nproc mktemp rm sleep; do
  ln -s "$(type -P "$tool")" "$work/bin/$tool"
done
stub() {  # NAME: its body from standard input
  rm -f "$work/bin/$1"  # never through a link
  { echo '#!/bin/bash'; cat; } >"$work/bin/$1"
  chmod +x "$work/bin/$1"
}
stub id <<<"echo \$FAKE_UID"
stub dpkg-query <<<"exit 1"
stub apt-get <<<"echo \"\$SUDO_USED apt-get \$*\" >>$work/log; echo 'Setting up cmake'"
ensure() {
  : >"$work/log"
  status=0
  said=$(PATH=$work/bin FAKE_UID=$1 bash -c "source '$lib'; ensure_packages cmake g++" 2>&1) || status=$?
}

ensure 1000
[[ $status -eq 1 ]] || fail "without rights: status $status: $said"
[[ $said == *"apt-get install --no-install-recommends cmake g++"* ]] || fail "the command is not shown: $said"
[[ ! -s $work/log ]] || fail "apt-get was called without rights: $(cat "$work/log")"

ensure 0
[[ $status -eq 0 ]] || fail "as root: status $status: $said"
[[ $(head -n 1 <<<"$said") == *"missing: cmake g++" ]] || fail "not named first: $said"
grep -q ' install -y .*cmake g++' "$work/log" || fail "nothing was installed: $(cat "$work/log")"

stub sudo <<<"[[ \$1 != -n ]] || shift; SUDO_USED=sudo exec \"\$@\""
ln -s "$(type -P true)" "$work/bin/true"
ensure 1000
[[ $status -eq 0 ]] || fail "with sudo: status $status: $said"
grep -q '^sudo apt-get .*install -y .*cmake g++' "$work/log" || fail "not through sudo: $(cat "$work/log")"
[[ $said == *"sudo apt-get install --no-install-recommends cmake g++"* ]] || fail "what sudo runs is not shown: $said"

stub apt-get <<<"[[ \"\$*\" != *' -y '* ]]"
stub sleep <<<":"
ensure 0
[[ $status -eq 1 && $said == *"apt-get update && apt-get install --no-install-recommends cmake g++"* ]] ||
  fail "an installation that fails: status $status: $said"
echo passed
