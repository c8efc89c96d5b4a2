// init, save, restore: keys, exit codes, what is said. The contract is docs/cli.md.

#include "tests/cli/cli_fixture.h"

namespace ckpt {
namespace {

using SaveRestore = CliTest;

TEST_F(SaveRestore, InitCreatesOnce) {
  const auto json = Do("ckpt-store -s run.ckpt init --chunk-size 16K --level 5 --json").Json();
  ExpectKeys(json, "store uuid format chunk_bytes array_chunk_bytes level");
  EXPECT_EQ(json["format"], 1);
  EXPECT_EQ(json["chunk_bytes"], 16384);
  EXPECT_EQ(json["level"], 5);
  EXPECT_EQ(json["uuid"].get<std::string>().size(), 32u);
  const Outcome again = Run("ckpt-store init -s run.ckpt --json");
  EXPECT_EQ(again.exit, 1);
  EXPECT_EQ(again.out, "");
  EXPECT_EQ(again.Error()["code"], "exists");
}

TEST_F(SaveRestore, InitRefusesSizesThatAreNone) {
  for (const char* option :
       {"--chunk-size 0", "--chunk-size 60000", "--chunk-size 64X", "--level 0", "--level 99",
        "--pack-size -1", "--chunk-size 99999999999"}) {
    EXPECT_EQ(Run(std::string("ckpt-store init ") + option).exit, 2) << option;
    EXPECT_FALSE(std::filesystem::exists(Path(".ckpt"))) << option;
  }
}

TEST_F(SaveRestore, SaveCreatesTheStoreAndSaysSo) {
  Write("data", Noise(300000, 1));
  const Outcome first = Do("ckpt-store save melt data");
  EXPECT_NE(first.err.find("created"), std::string::npos) << first.err;
  EXPECT_EQ(first.out.substr(0, 13), "saved melt@1:");
  const Outcome second = Do("ckpt-store save melt data");
  EXPECT_EQ(second.err, "");
  EXPECT_EQ(second.out.substr(0, 13), "saved melt@2:");
  const Outcome quiet = Do("ckpt-store save melt data --quiet");
  EXPECT_EQ(quiet.out + quiet.err, "");
}

// As the jobs of an array do: nobody's store is taken from under anybody.
TEST_F(SaveRestore, FirstSavesAtOnceFindOneStore) {
  Write("a", Noise(100000, 1));
  for (int round = 0; round < 3; ++round) {
    Do("rm -rf .ckpt; pids=; for i in 1 2 3 4 5 6; do ckpt-store save s$i a -q & pids=\"$pids "
       "$!\"; done;"
       " for p in $pids; do wait $p || exit 1; done; ckpt-store check -q");
    EXPECT_EQ(Do("ckpt-store list --json").Json().size(), 6u);
  }
  // Of several that insist on making it one does.
  EXPECT_EQ(
      Do("for i in 1 2 3 4 5 6; do (ckpt-store init -q -s new 2> err$i; echo $?) & done | sort;"
         " wait")
          .out,
      "0\n1\n1\n1\n1\n1\n");
}

TEST_F(SaveRestore, SaveReportsWhatIsNew) {
  Write("data", Noise(1000000, 1));
  Do("ckpt-store init");
  const auto first = Do("ckpt-store save melt data --json --tag a=b --tag 'c=d=[e,f]'").Json();
  ExpectKeys(first,
             "series attempt step logical_bytes read_bytes new_bytes stored_bytes files chunks "
             "new_chunks seconds");
  EXPECT_EQ(first["series"], "melt");
  EXPECT_EQ(first["attempt"], 1);
  EXPECT_EQ(first["step"], 1);
  EXPECT_EQ(first["logical_bytes"], 1000000);
  EXPECT_EQ(first["read_bytes"], 1000000);
  EXPECT_EQ(first["new_bytes"], 1000000);
  EXPECT_EQ(first["files"], 1);
  EXPECT_EQ(first["new_chunks"], first["chunks"]);
  EXPECT_GT(first["stored_bytes"], 1000000);
  const auto second = Do("ckpt-store save melt data --reread --json").Json();
  EXPECT_EQ(second["read_bytes"], 1000000);
  EXPECT_EQ(second["new_bytes"], 0);
  EXPECT_EQ(second["new_chunks"], 0);
  EXPECT_LT(second["stored_bytes"], 100000);
  const auto tags = Do("ckpt-store list --json").Json()[1]["tags"];
  EXPECT_EQ(tags, nlohmann::json::parse(R"({"a":"b","c":"d=[e,f]"})"));
}

TEST_F(SaveRestore, AStepThatIsNotAboveTheLastBeginsAnAttemptAndSaysSo) {
  Write("data", "x");
  Do("ckpt-store save melt data --step 10");
  const Outcome back = Do("ckpt-store save melt data --step 5");
  EXPECT_NE(back.err.find("attempt"), std::string::npos) << back.err;
  const auto json = Do("ckpt-store save melt data --from 5 --json").Json();
  EXPECT_EQ(json["attempt"], 3);
  EXPECT_EQ(json["step"], 6);
  EXPECT_EQ(json["new_attempt"], true);
}

TEST_F(SaveRestore, StandardInputIsAnEntry) {
  const std::string bytes = Noise(200000, 3);
  Write("data", bytes);
  Do("cat data | ckpt-store save log - --as run/log.txt");
  EXPECT_TRUE(Do("ckpt-store cat log run/log.txt").out == bytes);
  Do("ckpt-store save log - < data");
  EXPECT_TRUE(Do("ckpt-store cat log stdin").out == bytes);
  EXPECT_EQ(Run("ckpt-store save log - - < data").exit, 2);
  EXPECT_EQ(Run("ckpt-store save log data --as x").exit, 2);
}

TEST_F(SaveRestore, NothingToSaveIsNoSuchFile) {
  Do("ckpt-store init");
  const Outcome missing = Run("ckpt-store save melt nosuch --json");
  EXPECT_EQ(missing.exit, 4);
  EXPECT_EQ(missing.Error()["code"], "not found");
  EXPECT_NE(missing.Error()["message"].get<std::string>().find("nosuch"), std::string::npos);
  EXPECT_EQ(Do("ckpt-store list --json").Json().size(), 0u);
}

TEST_F(SaveRestore, WhatIsNoFolderIsNoPlaceForAStore) {
  Write("data", "x");
  const Outcome refused = Run("ckpt-store save melt data -s data");
  EXPECT_EQ(refused.exit, 1);
  EXPECT_NE(refused.err.find("data is no folder"), std::string::npos) << refused.err;
}

TEST_F(SaveRestore, NoStoreIsMadeForWhatCannotBeSaved) {
  Write("data", "x");
  const std::string long_name(200, 'x');
  for (const std::string& arguments :
       {std::string("melt nosuch"), std::string("melt data data/in"), std::string("melt ''"),
        std::string("a@b data"), std::string("a/b data"), std::string(".a data"),
        std::string("'a b' data"), std::string("'' data"), long_name + " data",
        std::string("melt - --as ../x"), std::string("melt - --as /x"),
        std::string("melt - --as x//y"), std::string("melt - <&-")}) {
    const Outcome first = Run("ckpt-store save " + arguments);
    EXPECT_TRUE(first.exit == 2 || first.exit == 4) << arguments << "\n" << first.err;
    EXPECT_FALSE(std::filesystem::exists(Path(".ckpt"))) << arguments;
    // What is checked before is what the library refuses.
    Do("ckpt-store init -s made");
    EXPECT_EQ(Run("ckpt-store -s made save " + arguments).exit, first.exit) << arguments;
    EXPECT_EQ(Do("ckpt-store -s made list --json").Json().size(), 0u) << arguments;
    std::filesystem::remove_all(Path("made"));
  }
}

TEST_F(SaveRestore, ClosedStandardInputIsNotAnEmptyStream) {
  Do("ckpt-store init");
  const Outcome closed = Run("ckpt-store save log - <&-");
  EXPECT_EQ(closed.exit, 2) << closed.err;
  EXPECT_NE(closed.err.find("standard input"), std::string::npos) << closed.err;
  EXPECT_EQ(Do("ckpt-store list --json").Json().size(), 0u);
  Do("ckpt-store save log - < /dev/null");
}

TEST_F(SaveRestore, SignalEndsASaveFromAnIdlePipeAtOnce) {
  Do("ckpt-store init && mkfifo pipe");
  // It is ended by itself, long before the five seconds after which the alarm would do it.
  const Outcome outcome =
      Run("ckpt-store --progress always save log - < pipe 2> said & saver=$!\n"
          "exec 3> pipe\n"
          "until grep -q saving said; do sleep 0.05; done\n"
          "kill -TERM $saver; wait $saver; code=$?; cat said >&2; exit $code");
  EXPECT_EQ(outcome.exit, 128 + 15) << outcome.err;
  EXPECT_NE(outcome.err.find("stopped by SIGTERM"), std::string::npos) << outcome.err;
}

TEST_F(SaveRestore, SecondNamesOfAFileAreReadLikeTheFirst) {
  const std::string bytes = Noise(100000, 5);
  Write("d/a", bytes);
  Do("ln d/a d/b && ln -s a d/c && ckpt-store save melt d");
  EXPECT_TRUE(Do("ckpt-store cat melt d/b").out == bytes);
  EXPECT_EQ(Do("ckpt-store cat melt d/b --offset 10 --length 5").out, bytes.substr(10, 5));
  EXPECT_EQ(Run("ckpt-store cat melt d/c").exit, 2);
}

TEST_F(SaveRestore, ADryRunNeedsNoFolderYet) {
  Write("data", "x");
  Do("ckpt-store save melt data");
  const auto json = Do("ckpt-store restore melt --to new --dry-run --json").Json();
  EXPECT_EQ(json["files"], 1);
  EXPECT_FALSE(std::filesystem::exists(Path("new")));
}

TEST_F(SaveRestore, ASecondSaveIsBusyOrWaits) {
  Write("data", "x");
  Do("ckpt-store init && mkfifo pipe");
  // The first holds the series until its input ends. Saves before it took the lock succeed.
  const Outcome outcome =
      Run("ckpt-store save melt - --wait < pipe > first.out & exec 3> pipe\n"
          "tries=0; code=0\n"
          "while [ $code != 5 ] && [ $tries -lt 200 ]; do\n"
          "  ckpt-store save melt data -q --json; code=$?; tries=$((tries+1))\n"
          "done\n"
          "ckpt-store save melt data --wait=100s --quiet --json 3>&- & waiter=$!\n"
          "ckpt-store save melt data --wait=1s -q; [ $? = 5 ] || exit 90\n"
          "echo end >&3; exec 3>&-\n"
          "wait $waiter || exit 91\n"
          "[ $code = 5 ] || exit 92");
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("\"busy\""), std::string::npos) << outcome.err;
}

TEST_F(SaveRestore, WaitingIsSaid) {
  Do("ckpt-store init && mkfifo pipe");
  Write("data", "x");
  const Outcome outcome =
      Run("ckpt-store save melt - --wait < pipe & exec 3> pipe\n"
          "until grep -q waiting said 2>/dev/null; do\n"
          "  ckpt-store save melt data --wait=1s 2> said; done\n"
          "exec 3>&-; wait");
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  const std::string said = Read("said");
  const std::size_t at = said.find("waiting: another save into series 'melt'");
  EXPECT_NE(at, std::string::npos) << said;
  EXPECT_EQ(said.find("waiting", at + 1), std::string::npos) << "once is enough: " << said;
}

TEST_F(SaveRestore, RestoreGivesTheFilesBack) {
  Write("in/a", Noise(100000, 1));
  Write("in/deep/b", "bbb");
  Do("ln -s a in/link && touch in/empty && chmod 640 in/a && ckpt-store save melt in");
  const auto json = Do("ckpt-store restore melt --to out --json").Json();
  ExpectKeys(json, "series attempt step files bytes skipped fell_back seconds");
  EXPECT_EQ(json["step"], 1);
  EXPECT_EQ(json["bytes"], 100003);
  EXPECT_EQ(Do("diff -r in out/in && stat -c %a out/in/a").out, "640\n");
  EXPECT_EQ(Do("readlink out/in/link").out, "a\n");
}

TEST_F(SaveRestore, RestoreOverwritesOnlyWhenForced) {
  Write("a", "one");
  Write("b", "two");
  Do("ckpt-store save melt a b");
  Write("a", "mine");
  Do("rm b");
  const Outcome refused = Run("ckpt-store restore melt --to . --json");
  EXPECT_EQ(refused.exit, 1);
  EXPECT_EQ(refused.Error()["code"], "exists");
  EXPECT_NE(refused.Error()["message"].get<std::string>().find("--force"), std::string::npos);
  EXPECT_FALSE(refused.Error().contains("hint")) << "said once: " << refused.err;
  EXPECT_EQ(Read("a"), "mine");
  EXPECT_FALSE(std::filesystem::exists(Path("b")));  // nothing was changed
  const auto dry = Do("ckpt-store restore melt --to . --force --dry-run --json").Json();
  EXPECT_EQ(dry["dry_run"], true);
  EXPECT_EQ(dry["entries"].size(), 2u);
  EXPECT_EQ(Read("a"), "mine");
  Do("ckpt-store restore melt --to . --force --sync");
  EXPECT_EQ(Read("a") + Read("b"), "onetwo");
  EXPECT_EQ(Do("ckpt-store restore melt --to . --json").Json()["skipped"], 2);
}

TEST_F(SaveRestore, AttributesOfEqualFilesAreRestoredToo) {
  Write("a", "one");
  Do("chmod 644 a && touch -d 2001-01-01 a && ckpt-store save melt a");
  Do("chmod 600 a && touch a");
  const auto json = Do("ckpt-store restore melt --to . --json").Json();
  EXPECT_EQ(json["skipped"], 1);  // not written
  EXPECT_EQ(Do("stat -c '%a %Y' a; date -d 2001-01-01 +'644 %s'").out,
            Do("date -d 2001-01-01 +'644 %s'; date -d 2001-01-01 +'644 %s'").out);
  if (Run("setfattr -n user.k -v 1 a").exit != 0)
    GTEST_SKIP() << "no setfattr, or no attributes here";
  Do("ckpt-store save melt a && setfattr -n user.k -v 2 a && ckpt-store restore melt --to .");
  EXPECT_EQ(Do("getfattr --only-values -n user.k a").out, "1");
}

// What is not read again must be what it was. Its times say so only when they are two seconds old.
TEST_F(SaveRestore, OldFilesAreReadWhenAnythingAboutThemChanged) {
  for (const char* name : {"same", "bytes", "size", "moved"}) Write(name, Noise(100000, 1));
  Do("sleep 2.2; ckpt-store save melt same bytes size moved");
  const std::string save = "ckpt-store save melt same bytes size moved --json";
  EXPECT_EQ(Do(save).Json()["read_bytes"], 0);
  // Of one size, with the old time put back.
  Write("other", Noise(100000, 2));
  Do("touch -r bytes times && cat other > bytes && touch -r times bytes");
  Do("cat other > other2 && touch -r moved other2 && mv other2 moved");
  Do("printf x >> size");
  EXPECT_EQ(Do(save).Json()["read_bytes"], 300001);
  Do("ckpt-store restore melt --to out && cmp other out/bytes && cmp other out/moved");
  EXPECT_EQ(Do(save + " --reread").Json()["read_bytes"], 400001);
}

// Large files are read ahead, streams are not: cuts depend on the bytes alone.
TEST_F(SaveRestore, FilesAreCutAsStreamsAre) {
  constexpr std::size_t kMiB = 1 << 20;
  // About what one reading of a file takes, and several.
  constexpr std::size_t kOne = 4 * kMiB - 256 * 1024;
  for (const std::size_t bytes : {2 * kMiB, kOne - 1, kOne, kOne + 1, 2 * kOne, 3 * kOne + 777}) {
    Write("data", Noise(bytes, bytes));
    Do("rm -rf .ckpt && ckpt-store save melt data -q");
    const auto stream = Do("ckpt-store save stream - --json < data").Json();
    EXPECT_EQ(stream["logical_bytes"], bytes);
    EXPECT_EQ(stream["new_bytes"], 0) << bytes;
    Do("ckpt-store cat melt data | cmp - data && ckpt-store cat stream stdin | cmp - data");
  }
}

TEST_F(SaveRestore, AStreamIsSavedAlone) {
  Write("a", "one");
  EXPECT_EQ(Run("echo x | ckpt-store save melt - a").exit, 2);
  EXPECT_EQ(Run("echo x | ckpt-store save melt a -").exit, 2);
}

// A pattern without '/' is about last components, at any depth.
TEST_F(SaveRestore, PatternsWithoutASlashMatchAtAnyDepth) {
  for (const char* name : {"in/a.tmp", "in/d/b.tmp", "in/d/b", "in/c1", "in/c2"}) Write(name, "x");
  const auto saved = Do("ckpt-store save melt in --exclude '*.tmp' --json").Json();
  EXPECT_EQ(saved["files"], 3);
  Do("ckpt-store save whole in && ckpt-store restore whole --to out --include '[a-b].*'"
     " --include 'c?' --include 'c[!2]'");
  EXPECT_EQ(Do("find out -type f | sort").out,
            "out/in/a.tmp\nout/in/c1\nout/in/c2\nout/in/d/b.tmp\n");
  Do("ckpt-store restore whole --to one --include 'in/*.tmp'");
  EXPECT_EQ(Do("find one -type f").out, "one/in/a.tmp\n");
}

TEST_F(SaveRestore, FallbackIsAdvisedOnlyWhereThereIsSomethingBefore) {
  Write("a", Noise(2000000, 1));  // larger than the reserve
  Do("ckpt-store save melt a");
  const std::string flip =
      "p=$(ls -S .ckpt/packs/*.pack | head -n 1); "
      "printf X | dd of=$p bs=1 seek=50000 conv=notrunc 2>/dev/null; ";
  Do(flip);
  for (const char* name : {"melt", "melt@1"}) {
    const Outcome outcome = Run(std::string("ckpt-store restore --to out ") + name);
    EXPECT_EQ(outcome.exit, 3) << outcome.err;
    EXPECT_EQ(outcome.err.find("--fallback"), std::string::npos) << outcome.err;
  }
}

TEST_F(SaveRestore, RestoreTakesWhatIsIncluded) {
  Write("in/a.dat", "a");
  Write("in/b.log", "b");
  Do("ckpt-store save melt in/a.dat in/b.log && ckpt-store restore melt --to out --include "
     "'**.log'");
  EXPECT_FALSE(std::filesystem::exists(Path("out/in/a.dat")));
  EXPECT_EQ(Read("out/in/b.log"), "b");
  // Said again, there is nothing to do; a pattern that matches nothing is a mistake.
  Do("ckpt-store restore melt --to out --include '**.log'");
  const Outcome nothing = Run("ckpt-store restore melt --to none --include '**.lgo' --json");
  EXPECT_EQ(nothing.exit, 4);
  EXPECT_EQ(nothing.Error()["code"], "not found");
  EXPECT_FALSE(std::filesystem::exists(Path("none")));
}

TEST_F(SaveRestore, ForceIsNotAdvisedWhereItDoesNotHelp) {
  Write("a", "one");
  Do("ckpt-store save melt a && mkdir -p out/a/b");
  const Outcome folder = Run("ckpt-store restore melt --to out --force");
  EXPECT_EQ(folder.exit, 1);
  EXPECT_NE(folder.err.find("move it away"), std::string::npos) << folder.err;
  EXPECT_EQ(folder.err.find("--force"), std::string::npos) << folder.err;
}

TEST_F(SaveRestore, WhatHoldsNothingIsNoCheckpoint) {
  Write("in/a", "one");
  Do("ckpt-store save melt in && mkdir empty");
  for (const char* what : {"in/a --exclude '**'", "in --exclude in", ".ckpt", "empty/."}) {
    const Outcome nothing = Run(std::string("ckpt-store save melt --json ") + what);
    EXPECT_EQ(nothing.exit, 4) << what << nothing.out;
  }
  EXPECT_EQ(Do("ckpt-store list --json").Json().size(), 1u);
  Do("ckpt-store save melt empty");  // a folder is something
}

// "restore ... || [ $? -eq 4 ]" in a job script begins from scratch where there is no checkpoint.
TEST_F(SaveRestore, AMissingPlaceToRestoreIntoIsNotAMissingCheckpoint) {
  Write("a", "one");
  Do("ckpt-store save melt a");
  for (const char* options : {"--to no/out", "--to no/out --dry-run", "--to a/out"}) {
    const Outcome outcome = Run(std::string("ckpt-store restore melt ") + options);
    EXPECT_EQ(outcome.exit, 1) << options << outcome.err;
    EXPECT_NE(outcome.err.find("there is no folder"), std::string::npos) << outcome.err;
  }
  const std::string here = "mkdir gone && cd gone && rmdir ../gone && ";
  EXPECT_EQ(Run(here + "ckpt-store -s ../.ckpt restore melt --to .").exit, 1);
}

// As the ranks of a job do that share a working folder.
TEST_F(SaveRestore, ManyRestoreIntoOneFolderAtOnce) {
  for (int i = 0; i < 40; ++i) {
    Write("d/" + std::to_string(i % 10) + "/f" + std::to_string(i), Noise(1000, 7));
  }
  Do("ckpt-store save melt d");
  for (int round = 0; round < 3; ++round) {
    Do("rm -rf out; pids=; for i in 1 2 3 4 5 6; do ckpt-store restore melt --to out -q --force &"
       " pids=\"$pids $!\"; done; bad=0; for p in $pids; do wait $p || bad=1; done; [ $bad = 0 ] &&"
       " diff -r d out/d && [ $(find out -name '.ckpt-*' | wc -l) = 0 ]");
  }
}

TEST_F(SaveRestore, EqualBytesBecomeTheLinkTheyWere) {
  Write("d/a", "one");
  Do("ln d/a d/b && ckpt-store save melt d && rm d/b && cp d/a d/b && ckpt-store restore melt --to "
     ".");
  EXPECT_EQ(Do("[ d/a -ef d/b ] && cat d/b").out, "one");
  Do("rm d/b && printf two > d/b");
  EXPECT_EQ(Run("ckpt-store restore melt --to .").exit, 1);
  EXPECT_EQ(Read("d/b"), "two");
}

TEST_F(SaveRestore, AStepToGoBackToInAnUnknownSeriesSuggests) {
  Write("a", "one");
  Do("ckpt-store save melt a");
  const Outcome outcome = Run("ckpt-store save metl a --from 1 --json");
  EXPECT_EQ(outcome.exit, 4);
  EXPECT_EQ(outcome.Error()["suggestion"], "melt");
  EXPECT_FALSE(Run("ckpt-store save melt a --from 7 --json").Error().contains("suggestion"));
}

TEST_F(SaveRestore, ATagHasOneValue) {
  Write("a", "one");
  EXPECT_EQ(Run("ckpt-store save melt a --tag k=v --tag k=w").exit, 2);
  Do("ckpt-store save melt a --tag k=v --tag l=v");
}

TEST_F(SaveRestore, UnknownCheckpointsAreNotFound) {
  Write("a", "one");
  Do("ckpt-store save melt a");
  const Outcome series = Run("ckpt-store restore mlet@1 --to out --json");
  EXPECT_EQ(series.exit, 4);
  EXPECT_EQ(series.Error()["suggestion"], "melt@1");
  EXPECT_EQ(Run("ckpt-store restore melt@99 --to out").exit, 4);
  EXPECT_EQ(Run("ckpt-store restore melt@7:1 --to out").exit, 4);
  EXPECT_FALSE(std::filesystem::exists(Path("out")));
  EXPECT_EQ(Run("ckpt-store restore melt").exit, 2);  // where to?
}

TEST_F(SaveRestore, OddNamesComeBackAndAreSafeToShow) {
  Write("in/caf\xE9", "latin");
  Write("in/[a,b]", "list");
  Write("in/{}", "braces");
  Write("in/line\nfeed\x1b[31m", "control");
  Write("-dash", "dash");
  Do("ckpt-store save odd in -- -dash");
  Do("cd in && ckpt-store -s ../.ckpt save direct '[a,b]' '{}'");
  EXPECT_EQ(Do("ckpt-store cat direct '[a,b]'; ckpt-store cat direct '{}'").out, "listbraces");
  EXPECT_EQ(Do("ckpt-store cat odd 'in/caf\xE9'").out, "latin");
  Do("ckpt-store restore odd --to out && diff -r in out/in && diff -- -dash out/-dash");
  const Outcome shown = Do("ckpt-store inspect odd");
  EXPECT_NE(shown.out.find("in/caf\\xe9"), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("in/line\\nfeed\\x1b[31m"), std::string::npos);
  EXPECT_EQ(shown.out.find('\x1b'), std::string::npos);
  bool found = false;
  const auto json = Do("ckpt-store inspect odd --json").Json();
  for (const auto& entry : json["entries"]) {
    if (!entry.contains("name_base64")) continue;
    found = true;
    EXPECT_EQ(entry["name_base64"], "aW4vY2Fm6Q==");
    EXPECT_EQ(entry["name"], "in/caf\xEF\xBF\xBD");
  }
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace ckpt
