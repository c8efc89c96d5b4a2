# shellcheck shell=bash
# A Slurm of one node on this machine, for tests: munged, slurmctld and slurmd with their own ports,
# key and folders below one temporary folder, as root. Needs no systemd, only /proc and /dev. Sourced.
#
#   cluster_start DIR [PROCTRACK]   exports SLURM_CONF; answers 1, having said why, when it does not start
#   cluster_stop                    ends all of it
#
# Jobs end fast: KillWait 5 s, preemption's GraceTime 5 s, and a requeued job starts after a few
# seconds (cred_expire; about two minutes otherwise).

cluster_pids=()

cluster_missing() {
  local program
  [[ $(id -u) -eq 0 ]] || { echo "Slurm's daemons need root"; return; }
  for program in munged slurmctld slurmd scontrol sbatch srun scancel; do
    PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || { echo "$program is not on this machine"; return; }
  done
}

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 30000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

cluster_conf() {  # DIR PROCTRACK
  local host
  host=$(uname -n)
  host=${host%%.*}
  cat <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$1/munge.socket,cred_expire=5
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
StateSaveLocation=$1/state
SlurmdSpoolDir=$1/spool
SlurmctldPidFile=$1/ctld.pid
SlurmdPidFile=$1/d.pid
SlurmctldLogFile=$1/ctld.log
SlurmdLogFile=$1/d.log
ProctrackType=$2
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0,bf_interval=1
MpiDefault=none
ReturnToService=2
KillWait=5
SlurmdParameters=config_overrides
InactiveLimit=0
OverTimeLimit=0
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=$host NodeAddr=127.0.0.1 CPUs=64 Boards=1 SocketsPerBoard=1 CoresPerSocket=64 ThreadsPerCore=1 RealMemory=64000 State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=5
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
END
}

cluster_daemon() {  # NAME COMMAND...
  local name=$1
  shift
  setsid "$@" >"$cluster_dir/$name.out" 2>&1 </dev/null &
  cluster_pids+=($!)
}

cluster_start() {
  cluster_dir=$1
  local proctrack=${2:-proctrack/linuxproc} try
  PATH=$PATH:/usr/sbin
  mkdir -p "$cluster_dir/state" "$cluster_dir/spool"
  chmod 755 "$cluster_dir"
  (umask 077 && head -c 128 /dev/urandom >"$cluster_dir/munge.key")
  export SLURM_CONF=$cluster_dir/slurm.conf
  cluster_conf "$cluster_dir" "$proctrack" >"$SLURM_CONF"
  cluster_daemon munged munged --foreground --force --key-file="$cluster_dir/munge.key" \
    --socket="$cluster_dir/munge.socket" --pid-file="$cluster_dir/munged.pid" \
    --seed-file="$cluster_dir/munge.seed" --log-file="$cluster_dir/munged.log"
  for ((try = 0; try < 100; ++try)); do
    [[ -S $cluster_dir/munge.socket ]] && break
    sleep 0.1
  done
  cluster_daemon slurmctld slurmctld -D -i
  cluster_daemon slurmd slurmd -D
  for ((try = 0; try < 300; ++try)); do
    [[ $(sinfo -h -o %T -p low 2>/dev/null) == idle ]] && return 0
    sleep 0.1
  done
  echo "Slurm did not start:" && tail -n 5 "$cluster_dir"/*.out "$cluster_dir"/*.log
  return 1
}

cluster_stop() {
  local pid
  scancel -u root 2>/dev/null
  # slurmd first, then the controller, munged last; each by the id it was started with.
  for ((i = ${#cluster_pids[@]} - 1; i >= 0; --i)); do
    pid=${cluster_pids[i]}
    kill -TERM "$pid" 2>/dev/null
    for _ in {1..50}; do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
  done
  cluster_pids=()
}
