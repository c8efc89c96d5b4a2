#!/usr/bin/env bash
# Whose the files of a store are: what another user makes in it (an administrator who collects it, a
# member of its group) stays readable and writable to those it was for.
set -euo pipefail
bin=${CKPT_STORE_BIN:?}
((EUID == 0)) && command -v setpriv >/dev/null || { echo "needs root and setpriv, to become others"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work" /var/tmp/ckpt-store-4200[123]' EXIT
cd "$work"
fail() { echo "FAILED: $*" >&2; exit 1; }
# as USER GROUP COMMAND...
as() {
  local user=$1 group=$2
  shift 2
  setpriv --reuid "$user" --regid "$group" --clear-groups "$@"
}
as 42001 42001 test -x "$bin" || { echo "the build folder is closed to others"; exit 77; }
chmod 755 "$work"
umask 077

# new_data: files that others may read, with new bytes each time.
new_data() {
  head -c 1000000 /dev/urandom >data
  chmod 644 data
}

# An administrator collects somebody's store, and saves a series of his own into it.
mkdir owned && chown 42001:42001 owned && chmod 755 owned
head -c 200000 /dev/urandom >kept && chmod 644 kept
for step in 1 2 3; do
  new_data
  as 42001 42001 "$bin" -s owned/store save melt data kept --step $step --quiet
done
"$bin" -s owned/store save other data --trust-owner --quiet
"$bin" -s owned/store gc --keep-last 1 --trust-owner --json >gc.json
grep -q '"rewritten_bytes": 0,' gc.json && fail "nothing was rewritten: $(cat gc.json)"
strangers=$(find owned/store ! -uid 42001 -o ! -gid 42001)
[[ -z $strangers ]] || fail "left behind in somebody's store, not theirs: $strangers"
as 42001 42001 "$bin" -s owned/store check --quiet || fail "the owner cannot check"
as 42001 42001 "$bin" -s owned/store save other kept --quiet || fail "the owner cannot save"
as 42001 42001 "$bin" -s owned/store gc --quiet || fail "the owner cannot collect"

# Who was let in to read stays in when packs are added, and when they are replaced.
as 42001 42001 chmod -R a+rX owned/store
# reads WHEN
reads() { as 42002 42002 "$bin" -s owned/store restore melt --to "$(as 42002 42002 mktemp -d)/to" --quiet || fail "a reader $1"; }
reads "of the store as it was"
new_data
as 42001 42001 env CKPT_HOST_ID=another "$bin" -s owned/store save melt data kept --quiet
reads "after a save from another host, into a new pack"
as 42001 42001 "$bin" -s owned/store gc --keep-last 1 --quiet
reads "after a collection"
# And who was not let in does not get in.
as 42001 42001 chmod -R go-rwx owned/store
new_data
as 42001 42001 env CKPT_HOST_ID=third "$bin" -s owned/store save melt data --quiet
[[ -z $(find owned/store -perm /077) ]] || fail "open to others: $(find owned/store -perm /077)"

# A store of a group: its second member has an index, and is told nothing odd.
mkdir shared && chown 42001:42009 shared && chmod 2775 shared
as 42001 42009 "$bin" -s shared/store init --shared --quiet
as 42001 42009 "$bin" -s shared/store save melt data --quiet
as 42002 42009 "$bin" -s shared/store save melt data kept 2>err >out || fail "a member cannot save: $(cat err)"
[[ ! -s err ]] || fail "a member is told: $(cat err)"
index=$(as 42002 42009 "$bin" -s shared/store stats --json | sed -n 's/.*"index_bytes": //p')
((index > 0)) || fail "a member has no index"
as 42001 42009 "$bin" -s shared/store gc --keep-last 1 --quiet
as 42002 42009 "$bin" -s shared/store check --quiet || fail "a member cannot read what the other collected"
echo "passed"
