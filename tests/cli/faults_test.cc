// What goes wrong on real machines, seen from the command line: an index that is lost, damaged, old
// or another store's; a writer that died or was stopped at the worst moment; ranks that are
// missing; damage that is found, recorded and healed. The contract is docs/cli.md.

#include <sys/resource.h>

#include <cstdlib>

#include "ckpt/ckpt.h"
#include "tests/cli/cli_fixture.h"
#include "tests/support/dead_writer.h"

namespace ckpt {
namespace {

namespace fs = std::filesystem;

class Faults : public CliTest {
 protected:
  // Saves `path` into .ckpt through the library; what it answers.
  ckpt_code Save(const std::string& series, const std::string& path, std::int64_t step,
                 std::uint32_t rank = 0, std::uint32_t ranks = 1,
                 std::int64_t from = CKPT_STEP_NONE) const {
    ckpt_open_options open = CKPT_OPEN_OPTIONS_INIT;
    open.mode = CKPT_OPEN_CREATE;
    ckpt_store* store = nullptr;
    ckpt_code code = ckpt_store_open(Path(".ckpt").c_str(), &open, &store);
    if (code != CKPT_OK) return code;
    ckpt_save_options options = CKPT_SAVE_OPTIONS_INIT;
    options.series = series.c_str();
    options.step = step;
    options.from_step = from;
    const std::string run = from == CKPT_STEP_NONE ? "job 1" : "job 2";
    options.run_id = run.c_str();
    options.rank = rank;
    options.ranks = ranks;
    const std::string whole = Path(path);
    const char* paths[] = {whole.c_str()};
    ckpt_save_result result = CKPT_SAVE_RESULT_INIT;
    code = ckpt_save_files(store, &options, paths, 1, &result);
    if (code != CKPT_OK) ADD_FAILURE() << ckpt_error_message();
    ckpt_store_close(store);
    return code;
  }
  std::size_t Listed(const std::string& series) const {
    return Do("ckpt-store list " + series + " --json").Json().size();
  }
  // The step `name` restores; its data must be those of that step.
  int Restored(const std::string& name, const std::string& options = "") const {
    Do("rm -rf out");
    const auto json = Do("ckpt-store restore " + name + " --to out --json " + options).Json();
    if (!json.contains("step")) return -1;
    const int step = json["step"].get<int>();
    EXPECT_TRUE(Read("out/data") == Noise(500000, static_cast<std::uint64_t>(step))) << name;
    return step;
  }
  void SaveStep(int step) const {
    Write("data", Noise(500000, static_cast<std::uint64_t>(step)));
    Do("ckpt-store save melt data -q --reread --step " + std::to_string(step));
  }
};

// ---- the index -------------------------------------------------------------------------------

class IndexFaults : public Faults, public ::testing::WithParamInterface<const char*> {};

TEST_P(IndexFaults, CostNothingButTime) {
  SaveStep(1);
  Do("cp -r .ckpt/index older");
  SaveStep(2);
  Write("elsewhere", Noise(300000, 99));
  Do("ckpt-store -s other save melt elsewhere -q && ckpt-store -s other save x elsewhere -q");
  Do(GetParam());
  EXPECT_EQ(Listed("melt"), 2u);
  EXPECT_EQ(Restored("melt"), 2);
  EXPECT_EQ(Restored("melt@1"), 1);
  const auto saved = Do("ckpt-store save melt data --reread --json").Json();
  EXPECT_EQ(saved["step"], 3);
  EXPECT_EQ(saved["new_bytes"], 0) << "what is there was not found";
  EXPECT_EQ(Listed("melt"), 3u);
  SaveStep(4);
  EXPECT_EQ(Restored("melt"), 4);
  Do("ckpt-store check -q && ckpt-store gc --keep-last 1 -q && ckpt-store check -q");
  EXPECT_EQ(Restored("melt"), 4);
}

INSTANTIATE_TEST_SUITE_P(
    All, IndexFaults,
    ::testing::Values("rm -r .ckpt/index",                          // lost
                      "rm -r .ckpt/index && mv older .ckpt/index",  // older
                      "for f in .ckpt/index/*/*; do head -c 100000 /dev/zero > $f; done",
                      "for f in .ckpt/index/*/*.mdb; do truncate -s -4096 $f; done",  // cut
                      "for f in .ckpt/index/*/*.mdb; do printf XXXXXXXX |"
                      " dd of=$f bs=1 seek=8200 conv=notrunc 2>/dev/null; done",
                      "for d in .ckpt/index/*; do rm -r $d; cp -r other/index/* $d; done"));

TEST_F(Faults, WriterStoppedInTheIndexDelaysNobody) {
  SaveStep(1);
  Write("mine", Noise(200000, 50));
  StoppedInTheIndex stopped([&] { (void)Save("stopped", "mine", 1); });
  ASSERT_TRUE(stopped.stopped());
  Write("data", Noise(500000, 2));
  // The limit is far above what these take; it ends a test that would hang.
  EXPECT_EQ(Run("timeout 60 ckpt-store save melt data --step 2 -q").exit, 0);
  EXPECT_EQ(Run("timeout 60 ckpt-store list --json > list").exit, 0);
  EXPECT_EQ(Run("timeout 60 ckpt-store restore melt --to out --fallback -q").exit, 0);
  EXPECT_TRUE(Read("out/data") == Noise(500000, 2));
  // What it saved was durable before it went to the index.
  EXPECT_EQ(nlohmann::json::parse(Read("list")).size(), 3u);
  EXPECT_EQ(
      Run("timeout 60 ckpt-store cat stopped " + Path("mine").string().substr(1) + " | cmp - mine")
          .exit,
      0);
}

// ---- dead writers ----------------------------------------------------------------------------

class DeadWriterFaults : public Faults, public ::testing::WithParamInterface<const char*> {};

TEST_P(DeadWriterFaults, LeaveWhatTheyStaged) {
  const std::string here = std::string(GetParam()) + " ";
  SaveStep(1);
  Write("data", Noise(500000, 2));
  fs::current_path(Path("."));
  ASSERT_TRUE(DiesBeforeItsMark([&] { (void)Save("melt", "data", 2); }));
  fs::current_path("/");
  auto list = Do(here + "ckpt-store list melt --json").Json();
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0]["state"], "staged");
  EXPECT_EQ(list[1]["state"], "committed");
  EXPECT_NE(Do(here + "ckpt-store list melt").out.find("staged"), std::string::npos);
  const std::string name = Path("data").string().substr(1);
  EXPECT_TRUE(Do(here + "ckpt-store cat melt '" + name + "'").out == Noise(500000, 2));
  EXPECT_EQ(Do(here + "ckpt-store check --json").Json()["newest_sound"][0]["step"], 1);
  // rm counts what is below a sync mark only: step 1 is the newest sound one.
  EXPECT_EQ(Run(here + "ckpt-store rm melt@1").exit, 2);
  const Outcome save = Do(here + "ckpt-store save melt data --reread");
  EXPECT_NE(save.err.find("took over melt@1:2"), std::string::npos) << save.err;
  list = Do(here + "ckpt-store list melt --json").Json();
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[1]["step"], 2);
  EXPECT_EQ(list[1]["state"], "committed");
  Do(here + "ckpt-store rm melt@1 -q");
  Do(here + "ckpt-store gc -q && " + here + "ckpt-store check -q");
  EXPECT_TRUE(Do(here + "ckpt-store cat melt@2 '" + name + "'").out == Noise(500000, 2));
}

INSTANTIATE_TEST_SUITE_P(Hosts, DeadWriterFaults, ::testing::Values("", "CKPT_HOST_ID=another"));

// ---- ranks -----------------------------------------------------------------------------------

TEST_F(Faults, ListShowsRanksAndWhatIsIncomplete) {
  for (std::uint32_t rank = 0; rank < 2; ++rank) {
    Write("rank" + std::to_string(rank), Noise(1000, rank));
    ASSERT_EQ(Save("run", "rank" + std::to_string(rank), 10, rank, 2), CKPT_OK);
  }
  ASSERT_EQ(Save("run", "rank0", 20, 0, 2), CKPT_OK);
  ASSERT_EQ(Save("run", "rank1", 20, 1, 2, 10), CKPT_OK);  // of another attempt
  const auto list = Do("ckpt-store list run --all --json").Json();
  ASSERT_EQ(list.size(), 4u);
  for (const auto& one : list) {
    EXPECT_EQ(one["ranks"], 2);
    EXPECT_EQ(one["state"], one["step"] == 20 ? "incomplete" : "committed") << one.dump();
  }
  EXPECT_EQ(list[0]["attempt"], 2);
  EXPECT_EQ(list[0]["rank"], 1);
  EXPECT_EQ(list[1]["attempt"], 1);
  EXPECT_EQ(list[1]["step"], 20);
  EXPECT_EQ(list[1]["rank"], 0);
  EXPECT_EQ(list[2]["rank"], 0);
  EXPECT_EQ(list[3]["rank"], 1);
  EXPECT_NE(Do("ckpt-store list run --all").out.find("rank 1/2"), std::string::npos);
  EXPECT_EQ(Do("ckpt-store restore run --to out --json").Json()["step"], 10);
  const Outcome part = Run("ckpt-store restore run@20 --to out2 --json");
  EXPECT_EQ(part.exit, 4);
  EXPECT_NE(part.err.find("incomplete"), std::string::npos) << part.err;
  const Outcome older = Do("ckpt-store restore run@20 --to out2 --fallback");
  EXPECT_NE(older.err.find("incomplete"), std::string::npos) << older.err;
  EXPECT_EQ(older.out.find("damage"), std::string::npos) << "nothing is: " << older.out;
}

TEST_F(Faults, InspectOfAGroupIsAboutAllItsRanks) {
  for (std::uint32_t rank = 0; rank < 3; ++rank) {
    Write("state", Noise(1000 + rank, rank));
    ASSERT_EQ(Save("run", "state", 10, rank, 3), CKPT_OK);
  }
  const auto json = Do("ckpt-store inspect run --json").Json();
  EXPECT_EQ(json["logical_bytes"], 3003);
  EXPECT_EQ(json["entry_count"], 3);
  EXPECT_EQ(json["ranks"], 3);
  EXPECT_EQ(json["saved_ranks"], 3);
  ASSERT_EQ(json["entries"].size(), 3u);
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(json["entries"][rank]["rank"], rank);
    EXPECT_EQ(json["entries"][rank]["logical_bytes"], 1000 + rank);
  }
  const std::string text = Do("ckpt-store inspect run").out;
  EXPECT_NE(text.find("3 entries of 3 ranks"), std::string::npos) << text;
  EXPECT_NE(text.find("rank 2: "), std::string::npos) << text;
}

// ---- arrays ----------------------------------------------------------------------------------

TEST_F(Faults, ArraysShowTheirTypeAndComeAsNpy) {
  ckpt_open_options open = CKPT_OPEN_OPTIONS_INIT;
  open.mode = CKPT_OPEN_CREATE;
  ckpt_store* store = nullptr;
  ASSERT_EQ(ckpt_store_open(Path(".ckpt").c_str(), &open, &store), CKPT_OK);
  ckpt_save_options save = CKPT_SAVE_OPTIONS_INIT;
  save.series = "heat";
  ckpt_writer* writer = nullptr;
  ASSERT_EQ(ckpt_begin(store, &save, &writer), CKPT_OK) << ckpt_error_message();
  std::vector<double> numbers(20000);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<double>(i) * 0.5;
  const std::uint64_t shape[] = {100, 200};
  ASSERT_EQ(ckpt_put(writer, "T", numbers.data(), CKPT_FLOAT64, 0, 2, shape), CKPT_OK);
  ckpt_save_result result = CKPT_SAVE_RESULT_INIT;
  ASSERT_EQ(ckpt_end(writer, &result), CKPT_OK) << ckpt_error_message();
  ckpt_store_close(store);

  const auto inspected = Do("ckpt-store inspect heat --json").Json()["entries"][0];
  EXPECT_EQ(inspected["kind"], "array");
  EXPECT_EQ(inspected["dtype"], "float64");
  EXPECT_EQ(inspected["shape"], nlohmann::json::parse("[100,200]"));
  EXPECT_EQ(inspected["order"], "C");
  EXPECT_EQ(inspected["logical_bytes"], 160000);
  const std::string npy = Do("ckpt-store cat heat T --npy").out;
  const std::string raw(reinterpret_cast<const char*>(numbers.data()), 160000);
  ASSERT_EQ(npy.size(), 128 + raw.size());
  EXPECT_EQ(npy.substr(0, 6), "\x93NUMPY");
  EXPECT_NE(npy.find("'shape': (100, 200)"), std::string::npos);
  EXPECT_TRUE(npy.substr(128) == raw);
  EXPECT_TRUE(Do("ckpt-store cat heat T").out == raw);
}

// ---- damage ----------------------------------------------------------------------------------

class DamageFaults : public Faults {
 protected:
  // Flips a bit in the middle of step `step`'s data, in the pack that has them.
  void Flip(int step) const {
    const std::string needle = Noise(500000, static_cast<std::uint64_t>(step)).substr(250000, 64);
    for (const auto& file : fs::directory_iterator(Path(".ckpt/packs"))) {
      const std::string name = ".ckpt/packs/" + file.path().filename().string();
      std::string bytes = Read(name);
      const std::size_t at = bytes.find(needle);
      if (at == std::string::npos) continue;
      bytes[at - 1] = static_cast<char>(bytes[at - 1] ^ 1);  // a second time takes it back
      Write(name, bytes);
      return;
    }
    FAIL() << "no pack holds step " << step;
  }
  std::string Packs() const {
    return Do("cd .ckpt/packs && for f in *; do cksum $f; done | sort").out;
  }
};

TEST_F(DamageFaults, CheckRecordsWhatItFindsAndTheNextSaveHealsIt) {
  SaveStep(1);
  SaveStep(2);
  Flip(2);
  EXPECT_EQ(Do("ckpt-store list --json").Json()[0]["state"], "committed");
  const Outcome found = Run("ckpt-store check --json");
  EXPECT_EQ(found.exit, 3);
  EXPECT_EQ(found.Json()["recorded"], 1);
  EXPECT_EQ(Do("ckpt-store list --json").Json()[0]["state"], "damaged");
  EXPECT_EQ(Restored("melt"), 1) << "the newest sound one";
  const Outcome again = Run("ckpt-store check");
  EXPECT_EQ(again.exit, 3);
  EXPECT_EQ(again.out.find("recorded"), std::string::npos) << "once is enough\n" << again.out;
  // The same files, by the same times: read again all the same, and what was damaged stored anew.
  const auto healed = Do("ckpt-store save melt data --json").Json();
  EXPECT_GT(healed["new_bytes"], 0);
  EXPECT_LT(healed["new_bytes"], 300000);
  EXPECT_EQ(Do("rm -rf out; ckpt-store restore melt@2 --to out && cmp out/data data").exit, 0);
  EXPECT_EQ(Do("rm -rf out; ckpt-store restore melt --to out && cmp out/data data").exit, 0);
  const std::string harmless = Run("ckpt-store check").out;
  EXPECT_NE(harmless.find("hurts no checkpoint"), std::string::npos) << harmless;
}

TEST_F(DamageFaults, CheckSaysWhenNothingSoundIsLeft) {
  SaveStep(1);
  Do("ckpt-store save other data -q");
  Flip(1);
  const std::string text = Run("ckpt-store check").out;
  EXPECT_NE(text.find("none of series 'melt'"), std::string::npos) << text;
  EXPECT_NE(text.find("none of series 'other'"), std::string::npos) << text;
  Do("ckpt-store save melt data -q --reread");
  EXPECT_EQ(Run("ckpt-store check").out.find("none of"), std::string::npos);
}

TEST_F(DamageFaults, CheckSaysThatItRecordedAndWhatReadsTrueAgain) {
  SaveStep(1);
  SaveStep(2);
  Flip(2);
  const Outcome text = Run("ckpt-store check");
  EXPECT_EQ(text.exit, 3);
  EXPECT_NE(text.out.find("1 place recorded"), std::string::npos) << text.out;
  Flip(2);
  EXPECT_NE(Do("ckpt-store check").out.find("true again"), std::string::npos);
  EXPECT_EQ(Do("ckpt-store list --json").Json()[0]["state"], "committed");
  EXPECT_EQ(Restored("melt"), 2);
}

// 4 KiB do not take all checkpoints with them.
TEST_F(DamageFaults, LostFormatFileLeavesTheStoreReadable) {
  SaveStep(1);
  SaveStep(2);
  const std::string format = Read(".ckpt/format");
  std::string flipped = format;
  flipped[100] = static_cast<char>(flipped[100] ^ 1);
  const std::string sound = Packs();
  for (const std::string& bytes : {std::string(), flipped, std::string("garbage")}) {
    Write(".ckpt/format", bytes);
    if (bytes.empty()) Do("rm .ckpt/format");
    EXPECT_NE(Do("ckpt-store list").err.find("'format'"), std::string::npos);
    for (const char* index : {"true", "mv .ckpt/index index"}) {
      Do(index);
      EXPECT_EQ(Do("ckpt-store list --json").Json().size(), 2u);
      EXPECT_EQ(Restored("melt@1"), 1);
      EXPECT_EQ(Restored("melt"), 2);
    }
    Do("mv index .ckpt/index");
    const Outcome check = Run("ckpt-store check --json");
    EXPECT_EQ(check.exit, 3);
    EXPECT_EQ(check.Json()["damaged"].size(), 1u) << check.out;
    for (const char* change : {"save melt data", "gc", "rm melt@1"}) {
      const Outcome refused = Run(std::string("ckpt-store ") + change);
      EXPECT_EQ(refused.exit, 3) << change;
      EXPECT_NE(refused.err.find("restored"), std::string::npos) << "what can be done: " << change;
    }
    EXPECT_NE(Run("ckpt-store init").exit, 0);
    EXPECT_EQ(Packs(), sound);
  }
  Write(".ckpt/format", format);
  Do("ckpt-store check -q && ckpt-store save melt data -q");
}

// Which file of which checkpoint, whatever the threads that find it are at meanwhile.
TEST_F(DamageFaults, RestoreNamesTheFileThatIsDamaged) {
  for (int i = 100; i < 140; ++i) Write("in/f" + std::to_string(i), Noise(2000000, i + 1000u));
  Write("in/f103", Noise(500000, 3));
  Do("ckpt-store save melt in --step 7 -q");
  Flip(3);
  const auto error = Run("ckpt-store restore melt --to out --json --threads 4").Error();
  EXPECT_EQ(error["exit"], 3);
  const std::string message = error["message"];
  EXPECT_EQ(message.find("melt@1:7 is damaged: restoring 'in/f103': packs/"), 0u) << message;
  EXPECT_EQ(message.find("restoring"), message.rfind("restoring")) << message;
}

TEST_F(DamageFaults, FallbackIsAdvisedWhileThereIsSomethingToFallBackTo) {
  SaveStep(1);
  SaveStep(2);
  Flip(2);
  EXPECT_TRUE(Run("ckpt-store restore melt --to out --json").Error().contains("hint"));
  Flip(1);
  EXPECT_EQ(Run("ckpt-store check -q").exit, 3);
  const Outcome none = Run("ckpt-store restore melt --to out --json");
  EXPECT_EQ(none.exit, 3);
  EXPECT_FALSE(none.Error().contains("hint")) << none.err;
}

// With the index, which still has its row, and without.
TEST_F(DamageFaults, DamagedManifestHidesNoOtherCheckpoint) {
  SaveStep(1);
  SaveStep(2);
  std::string name;
  std::size_t at = 0;
  for (const auto& file : fs::directory_iterator(Path(".ckpt/packs"))) {
    const std::size_t found = Read(".ckpt/packs/" + file.path().filename().string()).rfind("melt");
    if (found == std::string::npos) continue;
    name = ".ckpt/packs/" + file.path().filename().string();
    at = found;  // in the newest manifest
  }
  ASSERT_NE(at, 0u);
  std::string bytes = Read(name);
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  Write(name, bytes);
  for (const char* index : {"", "rm -r .ckpt/index; "}) {
    const auto list = Do(std::string(index) + "ckpt-store list --json").Json();
    ASSERT_GE(list.size(), 1u) << index;
    EXPECT_EQ(list[list.size() - 1]["step"], 1);
    EXPECT_EQ(list[list.size() - 1]["state"], "committed");
    if (list.size() == 2) {
      EXPECT_EQ(list[0]["state"], "damaged");
    }
    EXPECT_EQ(Restored("melt"), 1);
    EXPECT_EQ(Run("ckpt-store check -q").exit, 3);
  }
}

TEST_F(DamageFaults, CheckWritesNothingWhenToldOrWhenAllIsSound) {
  SaveStep(1);
  SaveStep(2);
  const std::string sound = Packs();
  Do("ckpt-store check -q");
  EXPECT_EQ(Packs(), sound);
  Flip(2);
  const std::string damaged = Packs();
  const Outcome found = Run("ckpt-store check --no-record --json");
  EXPECT_EQ(found.exit, 3);
  EXPECT_EQ(found.Json()["recorded"], 0);
  EXPECT_EQ(Packs(), damaged);
  EXPECT_EQ(Do("ckpt-store list --json").Json()[0]["state"], "committed");
}

}  // namespace
}  // namespace ckpt
