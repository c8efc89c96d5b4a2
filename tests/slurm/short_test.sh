#!/usr/bin/env bash
# The short form of the tests on a real Slurm, with both ways of tracking processes side by side, on a
# Slurm each. Passes when one of them does not start here (77), and skips when none does.
here=$(dirname "${BASH_SOURCE[0]}")
output=$(mktemp "${TMPDIR:-/tmp}/ckpt-slurm-cgroup.XXXXXX")
trap 'rm -f "$output"' EXIT
"$here/run" --proctrack cgroup >"$output" 2>&1 &
"$here/run" --proctrack linuxproc
linuxproc=$?
wait $!
cgroup=$?
cat "$output"
for status in $linuxproc $cgroup; do
  ((status == 0 || status == 77)) || exit 1
done
exit $((linuxproc == 77 && cgroup == 77 ? 77 : 0))
