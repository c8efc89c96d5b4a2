# shellcheck shell=bash
# What happens to jobs. Sourced by run, after cluster.sh; uses $here, $examples, $top and $random.
#
#   limit      the warning before the time limit; hardlimit: no warning, the limit itself
#   ask        no signal at all: the session knows from scontrol when the allocation ends
#   usr1       scancel --signal=USR1, to the steps, or with --batch or --full
#   scancel    stays cancelled
#   kill9      of the program
#   memory     the kernel's out-of-memory kill
#   preempt    by partition; graced: scancel while the grace of a preemption lasts, stays cancelled
#
# Kinds: run and array (examples/slurm with a simulation that knows nothing), lammps (the same), bash
# (with one that ends well on TERM), cpp (heat3d) and c (wave). What is not requeued is submitted again.
# In any case the job goes on on another node, another host to the store, the index lost; after
# preemption on the same one. A scenario prints what went wrong, or nothing.

# ---- jobs

code_rate=20 simulate_rate=10 lammps_rate=40  # steps a second

# Seconds of work a job has: where it is ended by Slurm, more than it takes Slurm to look (30 s).
work_s() {
  case $1 in
    */limit-* | */hardlimit-* | */preempt-*) echo $((45 + random * 15)) ;;
    */ask-*) echo 70 ;;
    *) echo $((20 + random * 10)) ;;
  esac
}
steps_of() { echo $(($(work_s "$2") * ${1}_rate)); }

# The codes with a session, and what they log of each save.
code_of() { if [[ $1 == c ]]; then echo wave; else echo heat3d; fi; }
logged='^ckpt (heat3d|wave)@'

code_arguments() {  # FOLDER
  local how='--seconds 1'
  case $1 in
    */usr1-*) how='--seconds 1000' ;;
    */ask-*) how='--seconds 1000 --ask-scheduler' ;;
    */kill9-* | */memory-*) how='--seconds 1 --durable-seconds 1000' ;;
  esac
  echo "--size 64 --store run.ckpt --log --pace $((1000 / code_rate)) $how" \
    "--steps $(steps_of code "$1")"
}

# submit KIND FOLDER OPTION...: the job's id
submit() {
  local kind=$1 folder=$2 program script=$1 how=torn
  shift 2
  case $kind in
    run | array)
      [[ $folder == */graced-* ]] && how=deaf  # else it ends, and is requeued, before scancel comes
      program="$here/simulate $(steps_of simulate "$folder") $how"
      ;;
    lammps) script=run program="$here/lammps_job $(steps_of lammps "$folder")" ;;
    bash) program="$here/simulate $(steps_of simulate "$folder") tidy" ;;
    cpp | c) program="$(code_of "$kind") $(code_arguments "$folder")" ;;
  esac
  [[ $kind == array ]] && set -- --array=1 "$@"
  PROGRAM="bash $here/task $program" EVERY=2s sbatch --parsable -n1 -D "$folder" -o "$folder/out" \
    "$@" "$examples/$script.sbatch"
}

field() {  # JOB KEY
  local job="JobId=$1 "
  [[ $1 == *_* ]] && job="ArrayJobId=${1%_*} ArrayTaskId=${1#*_} "
  grep -E "(^| )$job" "$top/jobs" 2>/dev/null | grep -oE " $2=[^ ]*" | head -n 1 | cut -d= -f2
}
# wait_until SECONDS COMMAND...
wait_until() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    [[ -d $top ]] || exit 1  # the run was interrupted
    sleep 0.3
  done
}
has_ended() {
  [[ $(field "$1" JobState) =~ ^(COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL|OUT_OF_MEMORY)$ ]]
}
was_requeued() { [[ $(field "$1" Restarts) -ge 1 ]]; }
is_running() { [[ $(field "$1" JobState) =~ ^(RUNNING|SIGNALING)$ ]]; }
job_folder() { if [[ -d $1/task-1 ]]; then echo "$1/task-1"; else echo "$1"; fi; }
has_saved() { grep -qsE "$logged|saved melt" "$1/out"; }
has_begun() {
  case $1 in
    */usr1-c*) [[ -e $1/pid ]] ;;
    */kill9-c* | */memory-c*) [[ -n $(newest "$1" created_ns 2>/dev/null) ]] ;;
    *-bash) [[ -n $(compgen -G "$1/restart.*") ]] ;;
    *) has_saved "$1" ;;
  esac
}
# Of a session's newest checkpoint.
newest() {  # FOLDER KEY
  ckpt-store -s "$1/run.ckpt" list --last 1 --json | grep -oP "\"$2\": ?\"?\K\w+"
}
moment() {  # after the first checkpoint (the bash recipe: restart file), a little later
  wait_until 100 has_begun "$1" || echo "nothing is saved"
  if ((random)); then sleep "$((RANDOM % 12)).$((RANDOM % 10))"; else sleep 1; fi
}

lose_index() {  # FOLDER
  # Again when somebody is just making a new one.
  until rm -rf "$1/run.ckpt/index" 2>/dev/null; do sleep 0.1; done
}
# Refused while it runs.
move() { scontrol update "jobid=$1" timelimit=60 "ReqNodeList=$node_second" >/dev/null 2>&1; }
is_not_running() { ! is_running "$1"; }
moved_or_too_late() { move "$1" || was_requeued "$1"; }
# A requeued job starts on another node, with time enough, and ends well there. (On the same one, with
# a note, where this machine was so slow that it had started before it could be moved.)
goes_on_elsewhere() {  # JOB FOLDER
  wait_until 100 is_not_running "$1" || { echo "not ended"; return; }
  wait_until 60 moved_or_too_late "$1" || { echo "not requeued: $(field "$1" JobState)"; return; }
  lose_index "$2"
  move "$1"
  ends_well "$1"
  [[ $(field "$1" BatchHost) == "$node_second" ]] || echo "note: ${2##*/} on the same node" >&2
}
ends_well() {  # JOB
  wait_until 250 has_ended "$1" || { echo "does not end"; return; }
  [[ $(field "$1" JobState) == COMPLETED ]] || echo "ended as $(field "$1" JobState)"
}
next_job() {  # KIND FOLDER
  lose_index "$2"
  ends_well "$(submit "$1" "$2" -w "$node_second")"
}

# ---- what happens to them

scenario_limit() {
  local warning=B:USR1@25 job
  [[ $1 == c* ]] && warning=TERM@25
  job=$(submit "$1" "$2" -w "$node_first" --time=60 "--signal=$warning")
  [[ $1 == array ]] && job=${job}_1
  moment "$2"
  # Slurm looks every 30 s, and warns when it looks 55 s before the end.
  scontrol update "jobid=$job" EndTime=now+50seconds >&2
  goes_on_elsewhere "$job" "$2"
}

scenario_hardlimit() {
  local job
  job=$(submit "$1" "$2" -w "$node_first" --time=60 --signal=B:CONT@1)
  moment "$2"
  scontrol update "jobid=$job" EndTime=now+5seconds >&2
  goes_on_elsewhere "$job" "$2"
}

# Its only checkpoint is that before the end. The program is killed before any signal comes.
scenario_ask() {
  local job end now asked
  mkdir "$2/bin"
  # A scontrol that notes what it is asked.
  # shellcheck disable=SC2016
  printf '#!/bin/sh\necho "$*" >>%q/asked\nexec %q "$@"\n' "$2" "$(command -v scontrol)" \
    >"$2/bin/scontrol"
  chmod +x "$2/bin/scontrol"
  job=$(PATH=$2/bin:$PATH submit "$1" "$2" -w "$node_first" --time=1 --signal=CONT@1 --no-requeue)
  wait_until 100 has_saved "$2" || { echo "nothing was saved before the limit"; return; }
  now=$(date -r "$2/out" +%s) end=$(date -d "$(field "$job" EndTime)" +%s)
  kill_program "$2"
  ((now <= end)) || echo "saved $((now - end)) s after the limit"
  ((now >= end - 20)) || echo "saved $((end - now)) s before the limit"
  asked=$(grep -c oneliner "$2/asked")
  [[ $asked == 1 ]] || echo "scontrol was asked $asked times"
  wait_until 60 has_ended "$job" || { echo "does not end after kill -9"; return; }
  next_job "$1" "$2"
}

# A session saves and goes on. `run` and the bash recipe take it for the warning: 10 minutes are near.
scenario_usr1() {
  local job how=()
  case $1 in
    bash) how=(--batch) ;;
    run | lammps) if ((random && RANDOM % 2)); then how=(--batch); else how=(--full); fi ;;
  esac
  job=$(submit "$1" "$2" -w "$node_first" --time=10)
  moment "$2"
  scancel --signal=USR1 "${how[@]}" "$job"
  if [[ $1 != c* ]]; then
    goes_on_elsewhere "$job" "$2"
    return
  fi
  wait_until 10 has_saved "$2" || echo "nothing was saved"
  ends_well "$job"
  was_requeued "$job" && echo "requeued"
}

# scancel, and it is over: else it says what is the matter, and answers 1.
stays_cancelled() {  # JOB
  scancel "$1"
  wait_until 40 has_ended "$1" || { echo "scancel does not end it"; return 1; }
  sleep 8  # a requeued job would be back by now
  [[ $(field "$1" JobState) == CANCELLED && $(field "$1" Restarts) == 0 ]] ||
    { echo "did not stay cancelled: $(field "$1" JobState)"; return 1; }
}

scenario_scancel() {
  local job
  job=$(submit "$1" "$2" -w "$node_first")
  moment "$2"
  stays_cancelled "$job" && next_job "$1" "$2"
}

# A code with a session cannot say how far it came: so long after its last checkpoint.
note_lost() {
  local now last
  now=$(date +%s%N) last=$(newest "$1" created_ns 2>/dev/null)
  [[ -z $last ]] || echo $(((now - last) / 1000000)) >>"$1/lost"
}
kill_program() {  # FOLDER
  kill -KILL "$(cat "$1/pid")"
  note_lost "$1"
}
# The next job of a session must go on from what was staged when the program was killed.
next_job_goes_on() {  # KIND FOLDER
  local staged=''
  if [[ $1 == c* ]]; then
    staged=$(newest "$2" step)
    [[ $(newest "$2" state) == staged ]] || echo "step $staged is not only staged"
  fi
  next_job "$1" "$2"
  [[ -z $staged ]] || grep -q "^continued from step $staged\$" "$2/out" ||
    echo "did not continue from step $staged, which was staged"
}

scenario_kill9() {
  local job
  job=$(submit "$1" "$2" -w "$node_first")
  moment "$2"
  kill_program "$2"
  wait_until 40 has_ended "$job" || { echo "does not end after kill -9"; return; }
  next_job_goes_on "$1" "$2"
}

is_gone() { ! kill -0 "$1" 2>/dev/null; }
scenario_memory() {
  local job
  touch "$2/memory-is-short"
  job=$(submit "$1" "$2" -w "$node_first" --mem=300M)
  moment "$2"
  touch "$2/hungry"
  wait_until 60 is_gone "$(cat "$2/pid")" || { echo "is not killed"; return; }
  note_lost "$2"
  wait_until 40 has_ended "$job" || { echo "does not end after it was killed"; return; }
  grep -qiE 'oom.kill|out of memory' "$2/out" || echo "it was not Slurm's limit that killed it"
  next_job_goes_on "$1" "$2"
}

scenario_preempt() {
  local job
  job=$(submit "$1" "$2" -p low)
  moment "$2"
  touch "$2/ready"
  wait_until 100 was_requeued "$job" || { echo "not requeued"; return; }
  lose_index "$2"
  ends_well "$job"
}

is_preempted() { [[ $(field "$1" PreemptTime) == 2* ]]; }
scenario_graced() {
  local job
  job=$(submit "$1" "$2" -p low)
  moment "$2"
  touch "$2/ready"
  wait_until 100 is_preempted "$job" || { echo "not preempted"; return; }
  stays_cancelled "$job" && next_job "$1" "$2"
}

# ---- how it came out

outcome_is_right() {  # KIND FOLDER
  local folder
  folder=$(job_folder "$2")
  case $1 in
    cpp | c) code_is_right "$(code_of "$1")" "$2" ;;
    lammps) lammps_is_right "$2" ;;
    *)
      [[ ! -e $folder/torn ]] &&
        [[ $(cat "$folder/result") == "$(simulated "$(steps_of simulate "$2")")" ]]
      ;;
  esac
}

simulated() {  # STEPS: what `simulate` ends with
  local x=1 i
  for ((i = 0; i < $1; ++i)); do x=$((x * 48271 % 2147483647)); done
  echo "$1 $x"
}

code_is_right() {  # PROGRAM FOLDER
  local steps
  steps=$(steps_of code "$2")
  "$1" --size 64 --steps "$steps" --seconds 1000 --store "$2/reference" >"$2/expected" 2>&1
  [[ $(grep checksum "$2/out" | tail -n 1) == "$(grep checksum "$2/expected")" ]]
}

# LAMMPS continued from the same restart file without us prints the same thermodynamics, digit for
# digit, and ends with the same bytes.
lammps_is_right() {
  local last
  last=restart.$(steps_of lammps "$1")
  mkdir -p "$1/reference" && cp "$1"/in.* "$1/begun" "$1/reference" || return 1
  sed -i 's/shell sleep.*"/shell true"/' "$1/reference/in.steps"
  (cd "$1/reference" && OMP_NUM_THREADS=1 lmp -screen none -in in.continue -var restart begun \
    -var steps "${last#restart.}" -var every 100) >/dev/null
  thermodynamics "$1/log.lammps" >"$1/thermodynamics"
  [[ -s $1/thermodynamics ]] && thermodynamics "$1/reference/log.lammps" | cmp - "$1/thermodynamics" &&
    cmp "$1/reference/$last" "$1/$last"
}
thermodynamics() { grep -E '^ *[0-9]+( +-?[0-9.e+-]+){5} *$' "$1"; }

# Seconds of work that was done and done again, for each time it was stopped.
lost() {  # KIND FOLDER
  case $1 in
    cpp | c)
      awk -v rate=$code_rate '/^stopped after step/ {last = $4}
        /^continued from step/ {
          if (last != "") printf "%.1f s  ", (last - $4) / rate
          last = ""
        }' "$2/out"
      [[ ! -e $2/lost ]] || awk '{printf "%.1f s  ", $1 / 1000}' "$2/lost"
      ;;
    *)
      local rate=$simulate_rate
      [[ $1 == lammps ]] && rate=$lammps_rate
      awk -v rate="$rate" '/^begin/ {if (NR > 1) printf "%.1f s  ", (last - $2) / rate; next}
        {last = $1}' "$(job_folder "$2")/progress"
      ;;
  esac
}
