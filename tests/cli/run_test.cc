// run: real programs, real signals. The contract is docs/run.md; requeueing is in requeue_test.cc.

#include "tests/cli/run_fixture.h"

namespace ckpt {
namespace {

TEST_F(RunTest, ExitStatusIsThePrograms) {
  EXPECT_EQ(Sh(RunCommand("", "exit 0")).exit, 0);
  EXPECT_EQ(Sh(RunCommand("", "exit 3")).exit, 3);
  EXPECT_EQ(Sh("exec " + RunCommand("", "kill -TERM $$")).exit, 143);
  EXPECT_EQ(Sh("exec " + RunCommand("", "kill -KILL $$")).exit, 137);
  EXPECT_EQ(Sh("exec " + RunCommand("", "ulimit -c 0; kill -SEGV $$")).exit, 139);
  const Outcome missing = Sh("ckpt-store run --series s --save x -- ./nowhere");
  EXPECT_EQ(missing.exit, 127);
  EXPECT_NE(missing.err.find("./nowhere"), std::string::npos) << missing.err;
}

TEST_F(RunTest, AsProcessOneOfAContainerItExitsWithTheSignalsStatus) {
  const std::string contain = "unshare --pid --fork --mount-proc ";
  if (Sh(contain + "true").exit != 0) GTEST_SKIP() << "no pid namespaces here";
  const Outcome stopped =
      Sh(contain + RunCommand("", "echo $PPID; kill -TERM $PPID; while :; do sleep 0.1; done") +
         "; echo status $?");
  EXPECT_EQ(stopped.out, "1\nstatus 143\n") << stopped.err;
}

TEST_F(RunTest, StandardStreamsAreThePrograms) {
  const Outcome outcome = Sh("printf abc | " + RunCommand("", "cat; echo E >&2"));
  EXPECT_EQ(outcome.exit, 0);
  EXPECT_EQ(outcome.out, "abc");
  EXPECT_NE(outcome.err.find("E\n"), std::string::npos);
}

TEST_F(RunTest, ASetThatCameToRestIsSavedWhileTheProgramRuns) {
  // The program itself waits for its checkpoint: without one it never ends.
  const Outcome outcome =
      Sh(RunCommand("", "echo 1 > r.1; until ckpt-store list s; do sleep 0.1; done"));
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("s@1"), std::string::npos) << outcome.out;
  // Not before it was at rest for the default, two seconds.
  const std::int64_t written_ns = std::stoll(Sh("date -r r.1 +%s%N").out);
  const std::int64_t saved_ns = Sh("ckpt-store inspect s --json").Json()["created_ns"];
  EXPECT_GT(saved_ns - written_ns, 1'900'000'000);
}

TEST_F(RunTest, BetweenSavesIsAtLeastWhatEverySays) {
  const Outcome outcome =
      Sh(RunCommand("--settle 0s --every 1h",
                    "echo 1 > r.1; ckpt-store request s; echo 2 > r.2; sleep 1; echo 3 > r.3"));
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  // The one that was asked for and that of the end; r.2 alone was never due.
  EXPECT_EQ(CheckpointCount(), 2u) << outcome.err;
  EXPECT_EQ(Sh("ckpt-store cat s r.3").out, "3\n");
}

#ifndef __SANITIZE_ADDRESS__  // nothing may be loaded before it
TEST_F(RunTest, WithoutInotifyALookFindsWhatIsThere) {
  const Outcome outcome =
      Sh("export LD_PRELOAD=" CKPT_NO_INOTIFY "; " +
         RunCommand("--when DONE",
                    "sleep 0.2; ls -l /proc/$PPID/fd | grep -c inotify; echo 1 > r.1; "
                    "echo > DONE; while [ -e DONE ]; do sleep 0.02; done"));
  EXPECT_EQ(outcome.out, "0\n") << outcome.err;
  EXPECT_EQ(Sh("ckpt-store cat s r.1").out, "1\n");
}
#endif

TEST_F(RunTest, TheLastSetIsSavedWhenTheProgramEndsWell) {
  Sh(RunCommand("", "echo 1 > r.1; echo 2 > r.2"));
  const auto entries = Sh("ckpt-store inspect s --json").Json()["entries"];
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[1]["name"], "r.2");
}

TEST_F(RunTest, AProgramThatFailsMidWriteLeavesTheSetBefore) {
  Sh(RunCommand("", "echo 1 > r.1"));
  const Outcome failed =
      Sh("exec " + RunCommand("", "echo torn > r.2; echo changed > r.1; exit 1"));
  EXPECT_EQ(failed.exit, 1);
  EXPECT_NE(failed.err.find("half written"), std::string::npos) << failed.err;
  const Outcome next =
      Sh(RunCommand("", "cat r.*; echo $CKPT_RESTORED $CKPT_STEP; echo $CKPT_DIR; pwd -P"));
  const std::string here = std::filesystem::canonical(Path("")).string() + "\n";
  EXPECT_EQ(next.out, "1\n1 1\n" + here + here);
  EXPECT_NE(next.err.find("r.1, r.2"), std::string::npos) << next.err;
  EXPECT_EQ(Sh("cat .ckpt-displaced/*/r.1 .ckpt-displaced/*/r.2").out, "changed\ntorn\n");
}

TEST_F(RunTest, WhatIsOfAnotherKindIsMovedAway) {
  Sh(RunCommand("", "mkdir r.d; echo 1 > r.d/x; echo 2 > r.f"));
  Sh("rm -r r.d r.f; echo file > r.d; mkdir -p r.f/sub; echo deep > r.f/sub/y");
  const Outcome next = Sh(RunCommand("", "cat r.d/x r.f"));
  EXPECT_EQ(next.out, "1\n2\n") << next.err;
  EXPECT_EQ(Sh("cat .ckpt-displaced/*/r.d .ckpt-displaced/*/r.f/sub/y").out, "file\ndeep\n");
}

TEST_F(RunTest, FilesOnAnotherFileSystemAreMovedAwayBesideWhereTheyAre) {
  const std::string mounted =
      "mkdir -p scratch; exec unshare --mount sh -c 'mount -t tmpfs t scratch";
  if (Sh(mounted + "'").exit != 0) GTEST_SKIP() << "nothing can be mounted here";
  const std::string line = "ckpt-store run --series s --save \"scratch/*\" -- ";
  const Outcome outcome = Sh(mounted + " && cd . && " + line +
                             "sh -c \"echo 1 > scratch/r.1\" && echo 2 > scratch/r.1 && " + line +
                             "cat scratch/r.1 && cat scratch/.ckpt-displaced/*/r.1'");
  EXPECT_EQ(outcome.out, "1\n2\n") << outcome.err;
}

TEST_F(RunTest, AFreshStartTouchesNothing) {
  Write("r.0", "input");
  const Outcome first = Sh(RunCommand("", "cat r.0; echo :$CKPT_RESTORED:$CKPT_STEP:"));
  EXPECT_EQ(first.out, "input:0::\n");
  EXPECT_FALSE(std::filesystem::exists(Path(".ckpt-displaced")));
}

TEST_F(RunTest, AStoreMadeInsideTheSetIsNoPartOfIt) {
  for (const std::string pattern : {"*", "*/*", "."}) {
    Sh("rm -rf * .ckpt-displaced; mkdir d");
    const Outcome outcome =
        Sh("export CKPT_STORE=run.ckpt; ckpt-store run --series d --save '" + pattern +
           "' -- sh -c 'echo 1 > d/r.1; echo 2 > d/r.2'; ckpt-store list d --json");
    ASSERT_EQ(outcome.exit, 0) << pattern << ": " << outcome.err;
    const Outcome names = Sh("ckpt-store -s run.ckpt inspect d --json");
    EXPECT_NE(names.out.find("d/r.2"), std::string::npos) << names.out;
    EXPECT_EQ(names.out.find("run.ckpt/"), std::string::npos) << names.out;
  }
}

TEST_F(RunTest, OnRestartRunsAnotherCommandLine) {
  const std::string line =
      RunCommand("--on-restart \"echo again \\$CKPT_STEP\"", "echo first; echo 1 > r.1");
  EXPECT_EQ(Sh(line).out, "first\n");
  EXPECT_EQ(Sh(line).out, "again 1\n");
}

TEST_F(RunTest, SignalsGoToTheProgramWhoseLastFilesAreSaved) {
  const Outcome outcome =
      Sh(RunCommand(
             "",
             "trap \"echo last > r.9; exit 0\" TERM; echo $$ > pid; while :; do sleep 0.05; done") +
         " & present pid; kill -TERM $!; wait $!; echo exit $?; ckpt-store cat s r.9");
  EXPECT_EQ(outcome.out, "exit 0\nlast\n") << outcome.err;
}

TEST_F(RunTest, ForwardMapsSignals) {
  const Outcome outcome =
      Sh(RunCommand("--forward USR1=TERM --forward TERM=NONE",
                    "trap \"echo got TERM; exit 0\" TERM; trap \"exit 9\" USR1; echo $$ > pid; "
                    "while :; do sleep 0.05; done") +
         " & present pid; kill -USR1 $!; wait $!; echo exit $?");
  EXPECT_EQ(outcome.out, "got TERM\nexit 0\n");
  EXPECT_EQ(Sh("ckpt-store run --series s --save x --forward TERM -- true").exit, 2);
  EXPECT_EQ(Sh("ckpt-store run --series s --save x --forward TERM=NO -- true").exit, 2);
}

// nohup: the terminal goes, the program stays. Had it counted as a stop, the answer would be 75.
TEST_F(RunTest, SignalsThatWereIgnoredStayIgnored) {
  const Outcome outcome =
      Sh("trap '' HUP; " +
         RunCommand("--requeue --settle 1s",
                    "echo 1 > r.1; echo $$ > pid; until [ -e end ]; do sleep 0.05; done") +
         " & present pid; kill -HUP $!; ckpt-store request s; touch end; wait $!; echo exit $?");
  EXPECT_NE(outcome.out.find("exit 0"), std::string::npos) << outcome.out << outcome.err;
}

TEST_F(RunTest, AProgramThatIgnoresSignalsIsKilledWhenAskedTo) {
  const Outcome outcome =
      Sh(RunCommand("--kill-after 1s --settle 1s",
                    "trap \"\" TERM; echo 1 > r.1; echo $$ > pid; while :; do sleep 0.05; done") +
         " & present pid; saved 1; echo torn > r.2; kill -TERM $!; wait $!; echo exit $?");
  EXPECT_EQ(outcome.out, "exit 137\n") << outcome.err;
}

// srun stays a while after its task was killed in the middle of a write: the files are at rest.
TEST_F(RunTest, ALauncherThatOutlivesItsTaskTakesTheDoubtfulSetBack) {
  const std::string saved_2 = "until ckpt-store list s | grep -q s@2; do sleep 0.1; done; ";
  const Outcome outcome =
      Sh(RunCommand("--settle 1s",
                    "echo 1 > r.1; until ckpt-store list s | grep -q s@1; do sleep "
                    "0.1; done; echo torn > r.2; " +
                        saved_2 + "exit 1"));
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_NE(outcome.err.find("took s@1:2 back"), std::string::npos) << outcome.err;
  const Outcome next = Sh(RunCommand("", "echo r.*; cat r.1"));
  EXPECT_EQ(next.out, "r.1\n1\n") << next.err;
  EXPECT_EQ(Sh("cat .ckpt-displaced/*/r.2").out, "torn\n");
}

#ifndef __SANITIZE_ADDRESS__  // nothing may be loaded before it
TEST_F(RunTest, HowLongFilesWereAtRestIsToldByTheirOwnClock) {
  const Outcome outcome =
      Sh("export LD_PRELOAD=" CKPT_CLOCK_AHEAD "; " +
         RunCommand("--settle 1s",
                    "echo 1 > r.1; until ckpt-store list s; do sleep 0.1; done; "
                    "echo torn > r.2; kill -KILL $$"));
  EXPECT_EQ(outcome.exit, 137);
  EXPECT_NE(outcome.err.find("may be half written"), std::string::npos) << outcome.err;
  EXPECT_NE(Sh("ckpt-store cat s r.2").exit, 0);
}
#endif

TEST_F(RunTest, ASetThatWasAtRestBeforeTheStopSignalStays) {
  const Outcome outcome =
      Sh(RunCommand("--settle 1s",
                    "trap \"exit 1\" TERM; echo 1 > r.1; until [ -s go ]; do sleep 0.05; done; "
                    "echo 2 > r.2; echo $$ > pid; while :; do sleep 0.05; done") +
         " & saved 1; echo > go; present pid; saved 2; kill -TERM $!; wait $!; echo exit $?; "
         "ckpt-store cat s r.2");
  EXPECT_EQ(outcome.out, "exit 1\n2\n") << outcome.err;
}

TEST_F(RunTest, TheOnlyCheckpointIsDoubtedButNotTakenBack) {
  const Outcome outcome = Sh(RunCommand(
      "--settle 1s", "echo 1 > r.1; until ckpt-store list s; do sleep 0.1; done; kill -KILL $$"));
  EXPECT_EQ(outcome.exit, 137);
  EXPECT_NE(outcome.err.find("look at it"), std::string::npos) << outcome.err;
  EXPECT_EQ(Sh("ckpt-store cat s r.1").out, "1\n");
}

TEST_F(RunTest, KilledItselfTheNextRunHasTheLastSettledSet) {
  Sh("{ " + RunCommand("--settle 1s", "echo 1 > r.1; echo $$ > pid; while :; do sleep 0.05; done") +
     "; } & present pid; saved 1; echo torn > r.2; "
     "kill -KILL $(ps -o ppid= -p $(cat pid)); gone $(cat pid)");
  const Outcome next = Sh(RunCommand("", "echo r.*; cat r.1"));
  EXPECT_EQ(next.out, "r.1\n1\n") << next.err;
}

TEST_F(RunTest, TheMarkerSaysWhenASetIsWhole) {
  const Outcome outcome = Sh(RunCommand(
      "--when DONE --settle 1s",
      "echo 1 > r.1; echo > DONE; while [ -e DONE ]; do sleep 0.02; done; echo 2 > r.2; exit 0"));
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  // Without a marker the last set is not known to be whole.
  EXPECT_EQ(Sh("ckpt-store inspect s --json").Json()["entries"].size(), 1u);
}

// It waits until each marker is gone: it would for an hour if a marker were not due at once.
TEST_F(RunTest, EachMarkerIsASetWhateverEverySays) {
  const Outcome outcome = Sh(
      RunCommand("--when DONE --every 1h",
                 "for i in 1 2; do echo $i > r.$i; echo > DONE; while [ -e DONE ]; do sleep 0.02; "
                 "done; done"));
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_EQ(CheckpointCount(), 2u) << outcome.err;
}

// It is found while the worker waits for another save, and changes before that ends.
TEST_F(RunTest, ASetThatChangesWhileItIsSavedIsNotSaved) {
  const Outcome outcome = Sh(
      "mkfifo in; ckpt-store save s - < in & export saver=$!; exec 3> in; "
      "until ckpt-store request s --timeout 1s 2> /dev/null; [ $? -eq 5 ]; do sleep 0.05; done; " +
      RunCommand("--when DONE",
                 "echo 1 > r.1; echo > DONE; until [ $(ps -o pid= --ppid $PPID | wc -l) -eq 2 ]; "
                 "do sleep 0.02; done; echo torn > r.1; kill -KILL $saver; while [ -e DONE ]; "
                 "do sleep 0.02; done"));
  EXPECT_NE(outcome.err.find("changed while they were saved"), std::string::npos) << outcome.err;
  EXPECT_EQ(Sh("ckpt-store list s").exit, 4);
}

TEST_F(RunTest, TheMarkerIsNoPartOfTheSet) {
  for (const std::string marker : {"out/DONE", "DONE"}) {
    const Outcome outcome =
        Sh("rm -rf out ../store; ckpt-store run --series s --save . --when " + marker +
           " -- sh -c 'mkdir out; echo 1 > out/r.1; echo > " + marker + "; exit 0'");
    EXPECT_EQ(outcome.exit, 0) << outcome.err;
    const Outcome names = Sh("ckpt-store inspect s --json");
    EXPECT_NE(names.out.find("out/r.1"), std::string::npos) << names.out << outcome.err;
    EXPECT_EQ(names.out.find("DONE"), std::string::npos) << names.out;
  }
}

TEST_F(RunTest, AMarkerOlderThanTheFilesIsNotBelieved) {
  const Outcome outcome =
      Sh(RunCommand("--when DONE --every 1h",
                    "mkdir b; echo > b/D; sleep 0.05; echo 1 > r.1; mv b/D DONE2; ln -s DONE2 D; "
                    "touch DONE; sleep 0.05; echo more >> r.1; kill -KILL $$"));
  EXPECT_NE(outcome.err.find("changed after"), std::string::npos) << outcome.err;
  EXPECT_EQ(Sh("ckpt-store list s").exit, 4);
}

TEST_F(RunTest, ALeftOverMarkerIsMovedAway) {
  Write("DONE", "");
  Sh(RunCommand("--when DONE", "echo 1 > r.1; exit 0"));
  EXPECT_EQ(Sh("ckpt-store list s").exit, 4);
}

TEST_F(RunTest, ReadyCommandDecides) {
  const std::string ready = "--ready-cmd \"test \\$# -eq 2 && grep -q end r.2\"";
  const Outcome outcome =
      Sh(RunCommand(ready + " --settle 1s",
                    "echo 1 > r.1; echo begin > r.2; sleep 0.6; echo end >> r.2; "
                    "until ckpt-store list s 2>/dev/null; do sleep 0.1; done; kill -KILL $$"));
  EXPECT_NE(outcome.out.find("s@1"), std::string::npos) << outcome.err;
  EXPECT_EQ(Sh("ckpt-store cat s r.2").out, "begin\nend\n");
}

TEST_F(RunTest, NothingIsLeftBehind) {
  const Outcome outcome = Sh(RunCommand(
      "",
      "sleep 1000 & echo $! > pid1; (trap \"\" TERM; sh -c \"echo \\$PPID > pid2; sleep 1000\") & "
      "while [ ! -s pid2 ]; do sleep 0.02; done; exit 5"));
  EXPECT_EQ(outcome.exit, 5);
  EXPECT_NE(outcome.err.find("left behind"), std::string::npos) << outcome.err;
  EXPECT_NE(Sh("kill -0 $(cat pid1)").exit, 0);
  EXPECT_NE(Sh("kill -0 $(cat pid2)").exit, 0);
}

TEST_F(RunTest, RefusesWhatCannotBeRestored) {
  EXPECT_EQ(Sh("ckpt-store run --series s --save /tmp/x -- true").exit, 2);
  EXPECT_EQ(Sh("ckpt-store run --series s --save ../x -- true").exit, 2);
  EXPECT_EQ(Sh("mkdir real; ln -s real link; ckpt-store run --series s --save link/x -- true").exit,
            2);
  EXPECT_EQ(Sh("ckpt-store run --save x -- true").exit, 2);
}

TEST_F(RunTest, WithoutPatternsNothingIsOpened) {
  const Outcome outcome = Sh("ckpt-store run -- sh -c 'echo $CKPT_RESTORED; exit 4'");
  EXPECT_EQ(outcome.exit, 4);
  EXPECT_EQ(outcome.out, "0\n");
  EXPECT_FALSE(std::filesystem::exists(Path("../store")));
}

TEST_F(RunTest, OnlyTheFirstTaskOfAStepActs) {
  const std::string line = "SLURM_STEP_ID=0 SLURM_PROCID=1 " + RunCommand("", "echo ran");
  const Outcome later = Sh(line);
  EXPECT_EQ(later.exit, 2);
  EXPECT_EQ(later.out, "");
  EXPECT_NE(later.err.find("-- srun PROGRAM"), std::string::npos) << later.err;
  EXPECT_EQ(Sh("SLURM_STEP_ID=0 SLURM_PROCID=0 " + RunCommand("", "echo ran")).out, "ran\n");
}

TEST_F(RunTest, FoldersAreSavedAndRestoredAsAWhole) {
  const std::string line = "ckpt-store run --series s --save out -- sh -c ";
  Sh(line + "'mkdir -p out/sub; echo 1 > out/sub/a; echo 2 > out/b'");
  Sh("echo torn > out/sub/a; echo new > out/sub/c; rm out/b");
  EXPECT_EQ(Sh(line + "'cd out; find * -type f | sort; cat sub/a b'").out, "b\nsub/a\n1\n2\n");
}

// ---- request

TEST_F(RunTest, RequestSavesAtOnceAndWaits) {
  const Outcome outcome =
      Sh(RunCommand("--settle 1s --every 1h",
                    "trap \"exit 9\" USR1; echo 1 > r.1; echo $$ > pid; until [ -e end ]; do sleep "
                    "0.05; done") +
         " & present pid; ckpt-store request s --json; touch end; wait $!; echo exit $?");
  EXPECT_NE(outcome.out.find("\"step\": 1"), std::string::npos) << outcome.out << outcome.err;
  EXPECT_NE(outcome.out.find("exit 0"), std::string::npos) << outcome.out << outcome.err;
}

TEST_F(RunTest, RequestToNobodyIsNotFound) {
  Sh(RunCommand("", "echo 1 > r.1"));
  EXPECT_EQ(Sh("ckpt-store request s").exit, 4);
  EXPECT_EQ(Sh("ckpt-store request t").exit, 4);
}

TEST_F(RunTest, RequestTimesOutWhereNothingIsNew) {
  const Outcome outcome =
      Sh(RunCommand("", "echo $$ > pid; until [ -e end ]; do sleep 0.05; done") +
         " & present pid; ckpt-store request s --timeout 1s; echo $?; touch end; wait $!");
  EXPECT_EQ(outcome.out, "5\n") << outcome.err;
}

// Stopped, it cannot answer; then it is killed.
TEST_F(RunTest, RequestDoesNotWaitForAProcessThatIsGone) {
  const Outcome outcome =
      Sh(RunCommand("", "echo $PPID > pid; exec sleep 60") +
         " & present pid; kill -STOP $(cat pid); ckpt-store request s --timeout 30s & asked=$!; "
         "until grep -q SigPnd:.*[2367abef]..$ /proc/$(cat pid)/status || grep -q "
         "'ShdPnd:.*[2367abef]..$' /proc/$(cat pid)/status; do sleep 0.05; done; "
         "kill -KILL $(cat pid); wait $asked; echo $?");
  EXPECT_EQ(outcome.out, "4\n") << outcome.err;
  EXPECT_NE(outcome.err.find("ended without a checkpoint"), std::string::npos) << outcome.err;
}

TEST_F(RunTest, RequestNeverSignalsAProcessThatDoesNotExpectIt) {
  // A save that waits for its input holds the series, too; SIGUSR1 would end it.
  const Outcome outcome =
      Sh("mkfifo in; ckpt-store save s - < in & exec 3> in; echo begin >&3; "
         "until ckpt-store request s --timeout 1s 2> err; [ $? -eq 5 ]; do sleep 0.05; done; "
         "cat err; echo end >&3; exec 3>&-; wait $!; echo saved $?");
  EXPECT_NE(outcome.out.find("does not take SIGUSR1"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("saved 0"), std::string::npos) << outcome.out;
}

TEST_F(RunTest, OneRunOfASeriesAtATime) {
  const Outcome outcome = Sh(
      RunCommand("", "echo $$ > pid; until [ -e end ]; do sleep 0.05; done") + " & present pid; " +
      RunCommand("", "echo never") + "; echo second $?; touch end; wait $!");
  EXPECT_NE(outcome.out.find("second 5"), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.out.find("never"), std::string::npos);
}

TEST_F(RunTest, APatternThatNeverMatchedIsSaid) {
  const Outcome outcome =
      Sh("ckpt-store run --series s --save 'r.*' --save 'typo*' -- "
         "sh -c 'echo 1 > r.1'");
  EXPECT_NE(outcome.err.find("'typo*' never matched"), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("'r.*' never"), std::string::npos) << outcome.err;
}

TEST_F(RunTest, WhatIsNotSavedIsSaidWithItsReason) {
  const Outcome outcome = Sh(RunCommand("--when DONE", "echo 1 > r.1; exit 0"));
  EXPECT_NE(outcome.err.find("'DONE' is not there"), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("half written"), std::string::npos) << outcome.err;
}

TEST_F(RunTest, ChildrenOfTheShellThatBecameRunAreLeftAlone) {
  const Outcome outcome = Sh("sleep 1000 & echo $! > pid1; exec " + RunCommand("", "exit 5"));
  EXPECT_EQ(outcome.exit, 5);
  EXPECT_EQ(Sh("kill -0 $(cat pid1)").exit, 0);
  Sh("kill $(cat pid1)");
}

// A program that the terminal's signals do not reach by themselves.
TEST_F(RunTest, CtrlCReachesAProgramInAProcessGroupOfItsOwn) {
  if (Sh("command -v script && command -v setsid").exit != 0) GTEST_SKIP() << "no script(1) here";
  Write("own.sh",
        "trap 'echo got INT > int; exit 0' INT; echo $$ > pid\n"
        "while :; do sleep 0.05; done\n");
  // In the foreground: a shell's background jobs ignore SIGINT.
  Sh("mkfifo keys; exec 3<>keys; (present pid; printf '\\003' >&3) & "
     "script -qec \"ckpt-store run --series s --save 'r.*' -- setsid sh own.sh\" /dev/null "
     "< keys > /dev/null");
  EXPECT_EQ(Read("int"), "got INT\n");
}

}  // namespace
}  // namespace ckpt
