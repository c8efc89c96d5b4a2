// run --requeue: what is asked of Slurm and done about it, with a scontrol of our own. The contract
// is docs/run.md, "Requeueing".

#include "tests/cli/run_fixture.h"

namespace ckpt {
namespace {

constexpr char kFailing[] = "exit 1";

class RequeueTest : public RunTest {
 protected:
  // A scontrol that answers `job` and records what it is asked.
  void FakeScontrol(const std::string& job) const {
    Write("bin/scontrol", "#!/bin/sh\necho \"$*\" >> '" + Path("asked").string() +
                              "'\nif [ $1 = show ]; then echo \"" + job + "\"; fi\n");
    std::filesystem::permissions(Path("bin/scontrol"), std::filesystem::perms::owner_all);
  }
  // That it is running and ends in five minutes.
  static std::string EndingSoon() {
    return "JobId=77 Requeue=1 JobState=RUNNING Reason=None PreemptTime=None "
           "EndTime=$(date -d '+5 min' +%Y-%m-%dT%H:%M:%S)";
  }
  // Runs a program under --requeue in what looks like job 77.
  Outcome InJob(const std::string& options, const std::string& program,
                const std::string& environment = "SLURM_JOB_ID=77") const {
    std::filesystem::remove(Path("asked"));
    return Sh("PATH=$PWD/bin:$PATH; export " + environment + "; exec " +
              RunCommand("--requeue " + options, program));
  }
  bool Requeued(const std::string& job = "77") const {
    return Read("asked").find("requeue " + job + "\n") != std::string::npos;
  }
};

TEST_F(RequeueTest, RequeuesAtTheTimeLimitAndAtPreemptionOnly) {
  FakeScontrol(
      "JobId=77 JobName=a b Requeue=1 JobState=COMPLETING Reason=TimeLimit Dependency=(null)");
  const Outcome limit = InJob("", kFailing);
  EXPECT_EQ(limit.exit, 1);
  EXPECT_TRUE(Requeued()) << limit.err;
  InJob("", "exit 0");
  EXPECT_FALSE(Requeued());

  // SIGNALING: the program was faster than Slurm.
  for (const std::string state : {"RUNNING", "SIGNALING"}) {
    FakeScontrol("JobId=77 Requeue=1 JobState=" + state +
                 " Reason=None StartTime=2026-01-01T10:00:00 PreemptTime=2026-01-01T11:00:00");
    EXPECT_EQ(InJob("", "kill -TERM $$").exit, 143);
    EXPECT_TRUE(Requeued()) << state;
  }

  // The tasks' own answer to preemption's TERM may be to end well.
  EXPECT_EQ(InJob("", "exit 0").exit, 0);
  EXPECT_TRUE(Requeued());
  InJob("--done-if true", "exit 0");
  EXPECT_FALSE(Requeued());

  // Preempted in an earlier life of the job.
  FakeScontrol(
      "JobId=77 Requeue=1 JobState=RUNNING Reason=None StartTime=2026-01-01T12:00:00 "
      "PreemptTime=2026-01-01T11:00:00");
  InJob("", kFailing);
  EXPECT_FALSE(Requeued());

  // Slurm was faster.
  FakeScontrol("JobId=77 Requeue=1 Restarts=1 JobState=COMPLETING Reason=TimeLimit");
  InJob("", kFailing);
  EXPECT_FALSE(Requeued());

  FakeScontrol("JobId=77 Requeue=0 JobState=COMPLETING Reason=TimeLimit");
  InJob("", kFailing);
  EXPECT_FALSE(Requeued());
}

// Slurm may send TERM to all processes of the job just then.
TEST_F(RequeueTest, AStopSignalDoesNotEndScontrol) {
  FakeScontrol("JobId=77 Requeue=1 JobState=COMPLETING Reason=TimeLimit$(kill -TERM $$)");
  const Outcome outcome = InJob("", kFailing);
  EXPECT_EQ(outcome.exit, 1) << outcome.err;
  EXPECT_TRUE(Requeued());
}

TEST_F(RequeueTest, NeverRequeuesAfterScancel) {
  FakeScontrol(
      "JobId=77 Requeue=1 JobState=COMPLETING Reason=None StartTime=2026-01-01T10:00:00 "
      "EndTime=2026-01-01T11:00:00 PreemptTime=None");
  const Outcome outcome = InJob("", "kill -TERM $PPID; while :; do sleep 0.05; done");
  EXPECT_EQ(outcome.exit, 143);
  EXPECT_FALSE(Requeued()) << outcome.err;
  // In the grace of a preemption.
  for (const std::string state : {"COMPLETING", "CANCELLED"}) {
    FakeScontrol("JobId=77 Requeue=1 JobState=" + state +
                 " Reason=None StartTime=2026-01-01T10:00:00 PreemptTime=2026-01-01T11:00:00");
    EXPECT_EQ(InJob("", "kill -TERM $PPID; while :; do sleep 0.05; done").exit, 143);
    EXPECT_FALSE(Requeued()) << state;
  }
}

TEST_F(RequeueTest, AWarningCountsWhenTheEndIsNear) {
  FakeScontrol(EndingSoon());
  const std::string warned = "kill -USR1 $PPID; while :; do sleep 0.05; done";
  EXPECT_EQ(InJob("", warned).exit, 128 + SIGUSR1);
  EXPECT_TRUE(Requeued());
  InJob("--near-limit 60s", warned);
  EXPECT_FALSE(Requeued());
  // SIGTERM comes with the end itself, or from scancel, which shows a moment later.
  InJob("", "kill -TERM $PPID; while :; do sleep 0.05; done");
  EXPECT_FALSE(Requeued());
  InJob("", kFailing);
  EXPECT_FALSE(Requeued());
  // What srun answers when its tasks were warned.
  for (const std::string program : {"exit 143", "exit 138"}) {
    InJob("", program);
    EXPECT_TRUE(Requeued()) << program;
  }
}

// Out of memory, a crash, srun's own trouble: it would come to the same again.
TEST_F(RequeueTest, ACrashIsNoWarning) {
  FakeScontrol(EndingSoon());
  for (const std::string program :
       {"exit 137", "exit 139", "exit 255", "ulimit -c 0; kill -SEGV $$"}) {
    InJob("", program);
    EXPECT_FALSE(Requeued()) << program;
  }
}

TEST_F(RequeueTest, AJobWhoseLastSetIsNotSavedIsNotRequeued) {
  FakeScontrol("JobId=77 Requeue=1 JobState=COMPLETING Reason=TimeLimit");
  // The store is gone when the program ends, and cannot be made anew.
  const Outcome outcome =
      InJob("--done-if false", "echo 1 > r.1; mv ../store ../gone; echo > ../store");
  EXPECT_EQ(outcome.exit, 75);
  EXPECT_NE(outcome.err.find("could not be saved"), std::string::npos) << outcome.err;
  EXPECT_FALSE(Requeued());
}

// Before the start it waits for a series that another one has.
TEST_F(RequeueTest, AWarningBeforeTheStartRequeuesLikeOneAfterIt) {
  FakeScontrol("JobId=77 Requeue=1 JobState=COMPLETING Reason=TimeLimit");
  const Outcome outcome =
      Sh("PATH=$PWD/bin:$PATH; " +
         RunCommand("", "echo $$ > pid; until [ -e end ]; do sleep 0.05; done") +
         " & first=$!; present pid; export SLURM_JOB_ID=77; " +
         "ckpt-store run --series s --save r.1 --requeue -- sh -c 'echo never' & second=$!; "
         "until grep -q '^SigBlk:.*[abef]..$' /proc/$second/status; do sleep 0.02; done; "
         "kill -USR2 $second; wait $second; echo second $?; touch end; wait $first");
  EXPECT_EQ(outcome.out.find("never"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("second 140"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.err.find("stopped by SIGUSR2"), std::string::npos) << outcome.err;
  EXPECT_TRUE(Requeued()) << outcome.err;
}

TEST_F(RequeueTest, RequeuesArrayTasksByTheirOwnName) {
  FakeScontrol(
      "JobId=80 ArrayJobId=70 ArrayTaskId=3 Requeue=1 JobState=COMPLETING Reason=TimeLimit");
  InJob("", kFailing, "SLURM_JOB_ID=80 SLURM_ARRAY_JOB_ID=70 SLURM_ARRAY_TASK_ID=3");
  EXPECT_TRUE(Requeued("70_3")) << Read("asked");
  EXPECT_NE(Read("asked").find("show job -o 70_3"), std::string::npos);
}

TEST_F(RequeueTest, DoneIfAndMaxRestartsBoundRequeueing) {
  FakeScontrol("JobId=77 Requeue=1 JobState=COMPLETING Reason=TimeLimit");
  InJob("--done-if \"test -e r.end\"", "echo > r.end; exit 1");
  EXPECT_FALSE(Requeued());
  InJob("--done-if \"test -e never\"", "exit 0");
  EXPECT_TRUE(Requeued());
  InJob("--max-restarts 2", kFailing, "SLURM_JOB_ID=77 SLURM_RESTART_COUNT=1");
  EXPECT_TRUE(Requeued());
  EXPECT_EQ(InJob("--max-restarts 2", kFailing, "SLURM_JOB_ID=77 SLURM_RESTART_COUNT=2").exit, 1);
  EXPECT_FALSE(Requeued());
}

TEST_F(RequeueTest, WhereNobodyCanRequeueTheExitCodeSaysSo) {
  const std::string stopped = "kill -TERM $PPID; while :; do sleep 0.05; done";
  const Outcome outside = Sh("unset SLURM_JOB_ID; exec " + RunCommand("--requeue", stopped));
  EXPECT_EQ(outside.exit, 75) << outside.err;
  // It failed by itself: nothing says that running it again would help.
  EXPECT_EQ(Sh("unset SLURM_JOB_ID; exec " + RunCommand("--requeue", kFailing)).exit, 1);
  EXPECT_EQ(Sh("exec " + RunCommand("", stopped)).exit, 143);
}

TEST_F(RequeueTest, WhereScontrolIsMissingOrFailsTheExitCodeSaysSo) {
  const std::string failing =
      "printf '#!/bin/sh\\nexit 1\\n' > few/scontrol; chmod +x few/scontrol";
  for (const std::string& scontrol : {std::string(":"), failing}) {
    Sh("rm -rf few; mkdir few; ln -s $(command -v sh) $(command -v ckpt-store) few; " + scontrol);
    const auto exit_of = [&](const std::string& options, const std::string& program) {
      return Sh("PATH=$PWD/few; export SLURM_JOB_ID=77; exec " +
                RunCommand("--requeue " + options, program))
          .exit;
    };
    EXPECT_EQ(exit_of("", "exit 143"), 75) << scontrol;
    EXPECT_EQ(exit_of("--done-if \"exit 1\"", "exit 0"), 75) << scontrol;
    EXPECT_EQ(exit_of("--done-if \"exit 0\"", "exit 143"), 143) << scontrol;
    // It failed by itself.
    EXPECT_EQ(exit_of("", "exit 139"), 139) << scontrol;
    EXPECT_EQ(exit_of("--done-if \"exit 1\"", "exit 3"), 3) << scontrol;
  }
}

TEST_F(RequeueTest, TheSetIsSavedBeforeTheJobIsRequeued) {
  Write("bin/scontrol", "#!/bin/sh\n[ $1 = requeue ] && ckpt-store cat s r.1 > '" +
                            Path("seen").string() +
                            "'\necho JobState=COMPLETING Reason=TimeLimit Requeue=1\n");
  std::filesystem::permissions(Path("bin/scontrol"), std::filesystem::perms::owner_all);
  InJob("",
        "trap \"echo last > r.1; exit 0\" TERM; kill -TERM $PPID; while :; do sleep 0.05; done");
  EXPECT_EQ(Read("seen"), "last\n");
}

}  // namespace
}  // namespace ckpt
