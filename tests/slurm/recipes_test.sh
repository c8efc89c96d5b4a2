#!/usr/bin/env bash
# When c.sbatch and bash.sbatch requeue their job, with a scontrol and an srun of our own.
set -euo pipefail
examples=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../examples/slurm" && pwd)
bin=$(cd "$(dirname "$CKPT_STORE_BIN")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir bin
cat >bin/scontrol <<'END'
#!/bin/sh
if [ "$1" = show ]; then echo "$SAID"; else echo "$*" >>asked; fi
END
cat >bin/srun <<'END'
#!/bin/sh
exec "$@"
END
chmod +x bin/*
cat >program <<'END'
exit $1
END
export PATH=$work/bin:$bin:$PATH SLURM_JOB_ID=77
unset CKPT_STORE SLURM_ARRAY_JOB_ID

far=$(date -d '+1 day' +%Y-%m-%dT%H:%M:%S) near=$(date -d '+2 min' +%Y-%m-%dT%H:%M:%S)
# job STATE ENDTIME PREEMPTTIME
job() { export SAID="JobId=77 JobState=$1 StartTime=2026-01-01T12:00:00 EndTime=$2 PreemptTime=$3 x=y"; }
# expect yes|no SCRIPT STATUS: whether the job is requeued when the program ends with STATUS.
expect() {
  local status=0 requeued=no
  rm -f asked
  PROGRAM="sh program $3" bash "$examples/$2.sbatch" >out 2>&1 || status=$?
  [[ -e asked ]] && requeued=yes
  [[ $requeued == "$1" && $status == "$3" ]] && return
  echo "$2.sbatch, status $3: requeued: $requeued, not $1; it ended with $status; $SAID"
  cat out
  exit 1
}

before=2026-01-01T11:00:00 since=2026-01-01T13:00:00
job RUNNING "$far" $since
expect yes c 143
expect yes bash 1
job SIGNALING "$far" $since  # the signal has just been sent
expect yes c 143
expect yes bash 1
job RUNNING "$far" $before  # in an earlier life of the job
expect no c 143
expect no bash 1
job COMPLETING "$far" $since  # scancel in the grace
expect no c 143
expect no bash 1
job RUNNING Unknown None  # no time limit
expect no c 143
job RUNNING "$far" None
expect no c 143
expect no bash 1
job SIGNALING "$near" None
expect yes c 143
job RUNNING "$near" None
expect yes c 143
expect no c 139
expect no bash 1
