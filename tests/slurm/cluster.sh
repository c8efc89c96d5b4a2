# shellcheck shell=bash
# A Slurm of three nodes on this machine, for tests: munged, slurmctld and three slurmd with their
# own ports, key, cgroups and folders below one temporary folder, as root. Needs no systemd, only
# /proc and /dev. Sourced.
#
#   cluster_missing               says what is not there, or nothing
#   cluster_start DIR PROCTRACK   exports SLURM_CONF; answers 1, having said why, when it does not start
#   cluster_stop                  ends all of it
#
# node_first, node_second and node_low are the nodes' names. To the store each is a host of its own: a
# task prolog sets CKPT_HOST_ID to the node's name. The partition `low` is node_low alone, and jobs of
# `high` take it away. cluster_limits_memory is 1 where jobs get no more memory than --mem says.
#
# Jobs end fast: KillWait 10 s, preemption's GraceTime 5 s, and a requeued job starts after some ten
# seconds (cred_expire; about two minutes otherwise).

cluster_pids=()

cluster_missing() {
  local program
  [[ $(id -u) -eq 0 ]] || { echo "Slurm's daemons need root"; return; }
  for program in munged slurmctld slurmd scontrol sbatch srun scancel; do
    PATH=$PATH:/usr/sbin command -v "$program" >/dev/null ||
      { echo "$program is not on this machine"; return; }
  done
}

# Below those that the system gives to connections.
free_port() {
  local port
  while :; do
    port=$((10000 + RANDOM % 20000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

cluster_conf() {  # DIR PROCTRACK TASKPLUGIN
  local host node
  host=$(uname -n)
  host=${host%%.*}
  cat <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$1/munge.socket,cred_expire=10
SlurmctldPort=$(free_port)
StateSaveLocation=$1/state
SlurmdSpoolDir=$1/spool-%n
SlurmctldPidFile=$1/ctld.pid
SlurmdPidFile=$1/%n.pid
SlurmctldLogFile=$1/ctld.log
SlurmdLogFile=$1/%n.log
ProctrackType=proctrack/$2
TaskPlugin=$3
TaskProlog=$1/task-prolog
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=900
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0,bf_interval=1
MpiDefault=none
ReturnToService=2
KillWait=10
SlurmdParameters=config_overrides
InactiveLimit=0
OverTimeLimit=0
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
END
  for node in "$node_first" "$node_second" "$node_low"; do
    echo "NodeName=$node NodeHostname=$host NodeAddr=127.0.0.1 Port=$(free_port) CPUs=64 Boards=1" \
      "SocketsPerBoard=1 CoresPerSocket=64 ThreadsPerCore=1 RealMemory=64000 State=UNKNOWN"
  done
  cat <<END
PartitionName=main Nodes=$node_first,$node_second Default=YES MaxTime=INFINITE PreemptMode=OFF
PartitionName=low Nodes=$node_low MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE GraceTime=5
PartitionName=high Nodes=$node_low MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
END
}

cluster_daemon() {  # NAME COMMAND...
  local name=$1
  shift
  setsid "$@" >"$cluster_dir/$name.out" 2>&1 </dev/null &
  cluster_pids+=($!)
}

# Slurm limits memory by cgroups of version 1 or 2, where they may be written.
cluster_cgroups() {
  local version=cgroup/v1 probe=/sys/fs/cgroup/memory/tasks
  if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
    version=cgroup/v2 probe=/sys/fs/cgroup/cgroup.subtree_control
  fi
  cat >"$cluster_dir/cgroup.conf" <<END
CgroupPlugin=$version
CgroupMountpoint=/sys/fs/cgroup
ConstrainRAMSpace=yes
END
  [[ -w $probe ]]
}

cluster_start() {
  cluster_dir=$1
  local node plugin=task/none
  PATH=$PATH:/usr/sbin
  mkdir -p "$cluster_dir/state"
  chmod 755 "$cluster_dir"
  node_first=first$$ node_second=second$$ node_low=low$$ cluster_limits_memory=0
  cluster_cgroups && plugin=task/cgroup cluster_limits_memory=1
  (umask 077 && head -c 128 /dev/urandom >"$cluster_dir/munge.key")
  # shellcheck disable=SC2016
  printf '#!/bin/sh\necho "export CKPT_HOST_ID=$SLURMD_NODENAME"\n' >"$cluster_dir/task-prolog"
  chmod 755 "$cluster_dir/task-prolog"
  export SLURM_CONF=$cluster_dir/slurm.conf
  cluster_conf "$cluster_dir" "$2" $plugin >"$SLURM_CONF"
  cluster_daemon munged munged --foreground --force --key-file="$cluster_dir/munge.key" \
    --socket="$cluster_dir/munge.socket" --pid-file="$cluster_dir/munged.pid" \
    --seed-file="$cluster_dir/munge.seed" --log-file="$cluster_dir/munged.log"
  cluster_wait test -S "$cluster_dir/munge.socket"
  cluster_daemon slurmctld slurmctld -D -i
  for node in "$node_first" "$node_second" "$node_low"; do
    cluster_daemon "$node" slurmd -D -N "$node"
  done
  cluster_wait nodes_are_idle && return 0
  echo "Slurm does not start with proctrack/$2 and $plugin:"
  grep -hE 'error|fatal' "$cluster_dir"/*.out "$cluster_dir"/*.log | grep -v pmix | sort -u | tail -n 10
  return 1
}

# Each node once for each of its partitions.
nodes_are_idle() { [[ $(sinfo -h -N -o %T 2>/dev/null | sort | uniq -c | xargs) == '4 idle' ]]; }

has_no_jobs() { [[ -z $(squeue -h 2>/dev/null) ]]; }

cluster_wait() {
  local try
  for ((try = 0; try < 300; ++try)); do
    "$@" && return 0
    sleep 0.1
  done
  return 1
}

cluster_stop() {
  local pid i
  scancel -u root 2>/dev/null
  [[ -z ${cluster_pids[*]} ]] || cluster_wait has_no_jobs
  # Each slurmd first, then the controller, munged last; each by the id it was started with.
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
  # The nodes' own groups, empty now, are left to whoever wants them.
  find /sys/fs/cgroup -mindepth 2 -depth -type d -path "*/slurm_*$$*" -exec rmdir {} + 2>/dev/null
}
