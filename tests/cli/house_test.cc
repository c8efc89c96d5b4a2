// rm, gc, freeze, check, reindex, and what holds for every command. The contract is docs/cli.md.

#include <algorithm>

#include "tests/cli/cli_fixture.h"

namespace ckpt {
namespace {

class House : public CliTest {
 protected:
  // Five checkpoints of half a megabyte of noise each, steps 1 to 5.
  void SaveFive() const {
    for (int step = 1; step <= 5; ++step) {
      Write("data", Noise(500000, static_cast<std::uint64_t>(step)));
      Do("ckpt-store save melt data --reread -q");
    }
  }
  std::vector<int> Steps() const {
    std::vector<int> steps;
    for (const auto& checkpoint : Do("ckpt-store list --json").Json()) {
      steps.push_back(checkpoint["step"].get<int>());
    }
    return steps;
  }
  // Changes a byte in the middle of the noise of `data`, wherever a pack holds it.
  void Damage(const std::string& data) const {
    const std::string needle = data.substr(data.size() / 2, 64);
    for (const auto& file : std::filesystem::directory_iterator(Path(".ckpt/packs"))) {
      const std::string name = ".ckpt/packs/" + file.path().filename().string();
      std::string bytes = Read(name);
      const std::size_t at = bytes.find(needle);
      if (at == std::string::npos) continue;
      bytes[at] = static_cast<char>(bytes[at] ^ 1);
      Write(name, bytes);
      return;
    }
    FAIL() << "no pack holds the bytes";
  }
};

TEST_F(House, RmDropsAllNamedOrNone) {
  SaveFive();
  EXPECT_EQ(Run("ckpt-store rm melt@1 melt@9").exit, 4);
  EXPECT_EQ(Steps(), (std::vector<int>{5, 4, 3, 2, 1}));
  const auto json = Do("ckpt-store rm melt@1 melt@1:3 --json").Json();
  ASSERT_EQ(json["removed"].size(), 2u);
  ExpectKeys(json["removed"][0], "series attempt step");
  EXPECT_EQ(Steps(), (std::vector<int>{5, 4, 2}));
}

TEST_F(House, RmOfTheNewestNeedsForce) {
  SaveFive();
  const Outcome refused = Run("ckpt-store rm melt@5 --json");
  EXPECT_EQ(refused.exit, 2);
  EXPECT_EQ(refused.Error()["code"], "invalid argument");
  EXPECT_EQ(Run("ckpt-store rm melt").exit, 2);
  Do("ckpt-store rm melt@5 --force");
  EXPECT_EQ(Steps(), (std::vector<int>{4, 3, 2, 1}));
}

TEST_F(House, GcKeepsByRulesAndReturnsSpace) {
  SaveFive();
  const auto dry = Do("ckpt-store gc --keep-last 2 --keep-every 2 --dry-run --json").Json();
  EXPECT_EQ(dry["removed"].size(), 2u);  // 1 and 3
  EXPECT_EQ(Steps().size(), 5u);
  const auto json = Do("ckpt-store gc --keep-last 2 --keep-every 2 --json").Json();
  ExpectKeys(json, "removed freed_bytes rewritten_bytes packs_removed seconds");
  EXPECT_EQ(json["removed"].size(), 2u);
  EXPECT_EQ(Steps(), (std::vector<int>{5, 4, 2}));
  Do("ckpt-store gc --keep-last 1");
  EXPECT_EQ(Steps(), (std::vector<int>{5}));
  Do("ckpt-store gc");  // without rules nothing is dropped
  EXPECT_EQ(Steps(), (std::vector<int>{5}));
  EXPECT_LT(Do("ckpt-store stats --json").Json()["stored_bytes"], 2000000);
  Do("ckpt-store check && ckpt-store restore melt --to out && cmp data out/data");
}

TEST_F(House, GcKeepsWhatIsYoungAndOtherSeries) {
  SaveFive();
  Do("ckpt-store save other data -q && ckpt-store save other data -q");
  Do("ckpt-store gc --keep-last 1 --keep-within 1h");
  EXPECT_EQ(Steps().size(), 7u);
  Do("ckpt-store gc --series other --keep-last 1");
  EXPECT_EQ(Steps().size(), 6u);
  EXPECT_EQ(Run("ckpt-store gc --series othre --keep-last 1").exit, 4);
  for (const char* wrong : {"--keep-last 0", "--keep-every 0", "--keep-within 7",
                            "--keep-within 0s", "--keep-last x"}) {
    EXPECT_EQ(Run(std::string("ckpt-store gc ") + wrong).exit, 2) << wrong;
  }
}

TEST_F(House, FreezeRunsTheCommandAndHoldsCollectionOff) {
  SaveFive();
  EXPECT_EQ(Run("ckpt-store freeze -- sh -c 'exit 7'").exit, 7);
  EXPECT_EQ(Run("ckpt-store freeze -- sh -c 'kill -KILL $$'").exit, 137);
  EXPECT_EQ(Run("ckpt-store freeze -- no-such-program").exit, 127);
  EXPECT_EQ(Run("ckpt-store freeze -- ./data").exit, 126);
  EXPECT_EQ(Run("ckpt-store freeze -- ckpt-store gc --wait=1s").exit, 5);
  EXPECT_EQ(Run("ckpt-store freeze -- ckpt-store freeze -- true").exit, 5);
  EXPECT_EQ(Do("ckpt-store freeze -- ckpt-store save melt data -q").exit, 0);
  EXPECT_EQ(Do("ckpt-store gc -q").exit, 0);
  EXPECT_EQ(Run("ckpt-store freeze").exit, 2);
}

// The names and codes of docs/cli.md, "JSON".
TEST_F(House, ErrorsInJsonHaveTheirNameAndTheExitCode) {
  Do("echo x > f && ckpt-store save melt f -q && ckpt-store -s open init -q && chmod 777 open");
  const std::vector<std::tuple<std::string, int, std::string>> expected = {
      {"list metl", 4, "not found"},
      {"freeze -- nosuchprogram", 127, "io"},
      {"run -- nosuchprogram", 127, "io"},
      {"restore melt --to no/out", 1, "io"},
      {"freeze -- ckpt-store gc --wait=1s --json", 5, "busy"},
      {"rm melt", 2, "invalid argument"},
      {"-s open list", 1, "permission"},
      {"init", 1, "exists"},
      {"nosuchcommand", 2, "usage"},
  };
  for (const auto& [line, exit, code] : expected) {
    const Outcome outcome = Run("ckpt-store --json " + line);
    EXPECT_EQ(outcome.exit, exit) << line;
    const std::string last = outcome.err.substr(outcome.err.find("{\"error\""));
    const auto error = nlohmann::json::parse(last)["error"];
    EXPECT_EQ(error["exit"], exit) << line;
    EXPECT_EQ(error["code"], code) << line;
  }
}

TEST_F(House, FreezePassesSignalsOn) {
  SaveFive();
  const Outcome outcome =
      Run("mkfifo ready\n"
          "ckpt-store freeze -- sh -c 'trap \"exit 9\" USR1; echo > ready; while :; do sleep 0.05; "
          "done' "
          "& pid=$!\n"
          "cat ready; kill -USR1 $pid; wait $pid");
  EXPECT_EQ(outcome.exit, 9) << outcome.err;
}

TEST_F(House, CheckOfASoundStoreIsQuietAboutDamage) {
  SaveFive();
  std::vector<std::uint64_t> verified;
  for (const char* options : {"", "--quick", "--part 10%"}) {
    const auto json = Do(std::string("ckpt-store check --json ") + options).Json();
    ExpectKeys(json, "damaged newest_sound packs checkpoints verified_bytes seconds");
    EXPECT_EQ(json["damaged"].size(), 0u);
    ASSERT_EQ(json["newest_sound"].size(), 1u);
    EXPECT_EQ(json["newest_sound"][0]["step"], 5);
    verified.push_back(json["verified_bytes"].get<std::uint64_t>());
    EXPECT_EQ(json["quick"].get<bool>(), std::string(options) == "--quick");
    EXPECT_EQ(json["part_percent"], std::string(options) == "--part 10%" ? 10 : 100) << options;
  }
  EXPECT_GT(verified[0], 1000000u);
  EXPECT_LT(verified[1], 10000u);
  EXPECT_LT(verified[2], verified[0] / 2);
  EXPECT_EQ(Run("ckpt-store check --part 0%").exit, 2);
  EXPECT_EQ(Run("ckpt-store check --quick --part 10%").exit, 2);
}

TEST_F(House, DamageIsNamedAndExitsWith3) {
  SaveFive();
  Damage(Noise(500000, 5));
  const Outcome checked = Run("ckpt-store check --json");
  EXPECT_EQ(checked.exit, 3);
  const auto json = checked.Json();
  ASSERT_GE(json["damaged"].size(), 1u);
  ExpectKeys(json["damaged"][0], "pack offset checkpoints");
  EXPECT_EQ(json["damaged"][0]["checkpoints"], nlohmann::json::parse(R"(["melt@1:5"])"));
  ASSERT_EQ(json["newest_sound"].size(), 1u);
  EXPECT_EQ(json["newest_sound"][0]["step"], 4);
  const Outcome text = Run("ckpt-store check");
  EXPECT_EQ(text.exit, 3);
  EXPECT_NE(text.out.find("hurts melt@1:5"), std::string::npos) << text.out;
  const Outcome refused = Run("ckpt-store restore melt@5 --to out --json");
  EXPECT_EQ(refused.exit, 3);
  EXPECT_EQ(refused.Error()["code"], "corruption");
  EXPECT_FALSE(std::filesystem::exists(Path("out/data")));
  const auto fallback = Do("ckpt-store restore melt@5 --to out --fallback --json").Json();
  EXPECT_EQ(fallback["step"], 4);
  EXPECT_EQ(fallback["fell_back"], true);
  EXPECT_TRUE(Read("out/data") == Noise(500000, 4));
  EXPECT_EQ(Run("ckpt-store cat melt@5 data").exit, 3);
}

TEST_F(House, ReindexHasTheKeys) {
  SaveFive();
  const auto json = Do("ckpt-store reindex --json").Json();
  ExpectKeys(json, "packs chunks checkpoints index_bytes seconds");
  EXPECT_EQ(json["checkpoints"], 5);
  EXPECT_GT(json["chunks"], 5);
  Do("ckpt-store check");
}

TEST_F(House, OutputThatIsLostIsAnError) {
  SaveFive();
  const Outcome full = Run("ckpt-store list > /dev/full");
  EXPECT_EQ(full.exit, 1);
  EXPECT_NE(full.err.find("standard output"), std::string::npos) << full.err;
  EXPECT_EQ(Run("ckpt-store cat melt data > /dev/full").exit, 1);
  EXPECT_EQ(Run("ckpt-store list --json >&-").exit, 1);
  // A reader that goes away is no error to speak of.
  const Outcome pipe = Run("(ckpt-store cat melt data; echo $? > code) | head -c 1 > /dev/null");
  EXPECT_EQ(pipe.err, "");
  EXPECT_TRUE(Read("code") == "141\n" || Read("code") == "0\n") << Read("code");
}

TEST_F(House, ASignalEndsASaveAndNothingIsSaved) {
  Do("ckpt-store init -q && mkfifo pipe");
  const Outcome outcome =
      Run("ckpt-store save melt - < pipe & pid=$!\n"
          "exec 3> pipe; yes | head -c 3000000 >&3; kill -TERM $pid; wait $pid");
  EXPECT_EQ(outcome.exit, 143);
  EXPECT_EQ(Do("ckpt-store list --json").Json().size(), 0u);
  Do("echo x > data && ckpt-store save melt data && ckpt-store check");
}

TEST_F(House, EmptyOptionsAreUsageErrors) {
  Do("mkdir d && echo x > d/f && ckpt-store save a d && ckpt-store save a d");
  for (const char* line :
       {"gc --series '' --keep-last 1", "gc --series= --keep-last 1", "list -s ''", "-s '' list",
        "--store= list", "save a d -s ''", "list ''", "rm ''", "restore a --to ''",
        "restore a --to x --include ''", "save a d --exclude ''", "save a d --tag ''"}) {
    const Outcome outcome = Run(std::string("ckpt-store ") + line);
    EXPECT_EQ(outcome.exit, 2) << line << "\n" << outcome.err;
  }
  EXPECT_EQ(Do("ckpt-store list --json").Json().size(), 2u);
}

TEST_F(House, AWaitThatIsNoTimeIsNamedOnce) {
  const Outcome outcome = Run("ckpt-store gc --wait=x");
  EXPECT_EQ(outcome.exit, 2);
  const std::size_t at = outcome.err.find("--wait");
  ASSERT_NE(at, std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("--wait", at + 1), std::string::npos) << outcome.err;
}

TEST_F(House, FreezeSaysOnceThatItWaits) {
  Do("ckpt-store init && mkfifo pipe");
  const Outcome outcome =
      Run("ckpt-store freeze -- sh -c 'echo > begun; cat pipe' & exec 3> pipe\n"
          "until [ -s begun ]; do sleep 0.02; done\n"
          "ckpt-store freeze --wait=1s -- true 2> said; [ $? = 5 ] || exit 90\n"
          "ckpt-store freeze --wait -- true 2> said2 3>&- & waiter=$!\n"
          "until grep -q waiting said2; do sleep 0.02; done\n"
          "kill -TERM $waiter; wait $waiter; code=$?; exec 3>&-; wait; exit $code");
  EXPECT_EQ(outcome.exit, 128 + 15) << outcome.err;
  const std::string said = Read("said");
  const std::size_t at = said.find("waiting");
  ASSERT_NE(at, std::string::npos) << said;
  EXPECT_EQ(said.find("waiting", at + 1), std::string::npos) << said;
}

TEST_F(House, UsageErrorsSuggest) {
  const Outcome command = Run("ckpt-store --json retsore");
  EXPECT_EQ(command.exit, 2);
  EXPECT_EQ(command.out, "");
  EXPECT_EQ(command.Error()["code"], "usage");
  EXPECT_EQ(command.Error()["suggestion"], "restore");
  const Outcome topic = Run("ckpt-store help retsore");
  EXPECT_EQ(topic.exit, 2);
  EXPECT_NE(topic.err.find("did you mean 'restore'?"), std::string::npos) << topic.err;
  const Outcome option = Run("ckpt-store list --al");
  EXPECT_EQ(option.exit, 2);
  EXPECT_NE(option.err.find("did you mean '--all'?"), std::string::npos) << option.err;
  const Outcome value = Run("ckpt-store run --series s --save x --every -5 -- true");
  EXPECT_EQ(value.exit, 2);
  EXPECT_EQ(value.err.find("did you mean"), std::string::npos) << value.err;
  for (const char* line : {"", "--nonsense", "save", "save melt", "diff a", "list a b",
                           "list --progress sometimes", "restore a --to", "save a b --tag x",
                           "save a b --step -1", "save a b --wait=5", "check --part 200"}) {
    EXPECT_EQ(Run(std::string("ckpt-store ") + line).exit, 2) << line;
  }
}

TEST_F(House, EveryCommandHelpsWithAnExample) {
  const Outcome help = Do("ckpt-store --help");
  for (const char* command :
       {"init", "save", "restore", "list", "inspect", "diff", "cat", "stats", "rm", "gc", "freeze",
        "check", "repair", "reindex", "analyze", "run", "request"}) {
    EXPECT_NE(help.out.find(std::string("\n  ") + command + " "), std::string::npos) << command;
    const Outcome one = Do(std::string("ckpt-store ") + command + " --help");
    EXPECT_NE(one.out.find("Examples:\n"), std::string::npos) << command;
    EXPECT_NE(one.out.find(std::string("ckpt-store ") + command), std::string::npos) << command;
    for (const char* option : {"--store", "--json", "--quiet", "--progress", "--help"}) {
      EXPECT_NE(one.out.find(option), std::string::npos) << command << option;
    }
    EXPECT_EQ(Do(std::string("ckpt-store help ") + command).out, one.out);
  }
  EXPECT_EQ(Do("ckpt-store --version").out.substr(0, 11), "ckpt-store ");
}

TEST_F(House, ProgressAlwaysIsPlainInALogFile) {
  Write("data", Noise(3000000, 1));
  const Outcome outcome = Do("ckpt-store save melt data --progress always");
  EXPECT_NE(outcome.err.find("saving: "), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find('\x1b'), std::string::npos);
  EXPECT_EQ(outcome.err.find('\r'), std::string::npos);
  EXPECT_EQ(Do("ckpt-store check --progress always -q").err, "");
  // The last line is the end of it, in the unit of the line before or under a name of its own.
  EXPECT_NE(outcome.err.find("saving: 2.9 MiB of 2.9 MiB (100.0 %)"), std::string::npos)
      << outcome.err;
  const std::string restored = Do("ckpt-store restore melt --to out --progress always").err;
  EXPECT_NE(restored.find("restoring: 2.9 MiB of 2.9 MiB (100.0 %)"), std::string::npos)
      << restored;
  const std::string checked = Do("ckpt-store check --progress always").err;
  EXPECT_NE(checked.find("checking checkpoints: 1 of 1 (100.0 %)"), std::string::npos) << checked;
  const std::string analyzed = Do("ckpt-store analyze data data --progress always").err;
  EXPECT_NE(analyzed.find("analyzing: 5.7 MiB of 5.7 MiB (100.0 %)"), std::string::npos)
      << analyzed;
}

}  // namespace
}  // namespace ckpt
