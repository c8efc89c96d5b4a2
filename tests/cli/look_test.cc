// list, inspect, diff, cat, stats, analyze: commands that only look. The contract is docs/cli.md.

#include <regex>

#include "tests/cli/cli_fixture.h"

namespace ckpt {
namespace {

class Look : public CliTest {
 protected:
  // melt: steps 10 and 20 of attempt 1, 15 of attempt 2, which continues from 10.
  void SaveThree() const {
    std::string data = Noise(1000000, 1);
    Write("data", data);
    Do("ckpt-store save melt data --step 10");
    data.replace(500000, 5, "12345");
    Write("data", data);
    Do("ckpt-store save melt data --step 20 --reread --tag k=v");
    Do("ckpt-store save melt data --from 10 --step 15 --reread");
  }
};

TEST_F(Look, NumbersThatMeanNothingAreRefused) {
  SaveThree();
  EXPECT_EQ(Do("ckpt-store list --last 1 --json").Json().size(), 1u);
  EXPECT_EQ(Run("ckpt-store list --last 0").exit, 2);
}

TEST_F(Look, ListHasTheKeysAndTheNewestFirst) {
  SaveThree();
  const auto line = Do("ckpt-store list melt --json").Json();
  ASSERT_EQ(line.size(), 2u);
  ExpectKeys(line[0],
             "series attempt step parent rank ranks created state entries logical_bytes new_bytes "
             "stored_bytes tags");
  EXPECT_EQ(line[0]["step"], 15);
  EXPECT_EQ(line[0]["attempt"], 2);
  EXPECT_EQ(line[0]["parent"]["attempt"], 1);
  EXPECT_EQ(line[0]["parent"]["step"], 10);
  EXPECT_EQ(line[0]["state"], "committed");
  EXPECT_EQ(line[0]["entries"], 1);
  EXPECT_EQ(line[0]["logical_bytes"], 1000000);
  EXPECT_EQ(line[1]["step"], 10);
  EXPECT_TRUE(line[1]["parent"].is_null());
  const auto all = Do("ckpt-store list --all --json").Json();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[1]["step"], 20);
  EXPECT_EQ(all[1]["abandoned"], true);
  EXPECT_EQ(all[1]["tags"]["k"], "v");
  EXPECT_EQ(Do("ckpt-store list --last 1 --json").Json().size(), 1u);
}

TEST_F(Look, ListIsALineACheckpointWithNamesThatWork) {
  SaveThree();
  const Outcome list = Do("ckpt-store list --all");
  EXPECT_EQ(std::count(list.out.begin(), list.out.end(), '\n'), 4);
  EXPECT_EQ(list.out.substr(0, 10), "CHECKPOINT");
  for (const char* name : {"melt@15 ", "melt@10 ", "melt@1:20 "}) {
    EXPECT_NE(list.out.find(name), std::string::npos) << list.out;
    EXPECT_EQ(Do(std::string("ckpt-store cat ") + name + "data | wc -c").out, "1000000\n");
  }
}

TEST_F(Look, UnknownSeriesAndStoresAreNotFoundAndNotCreated) {
  const Outcome none = Run("ckpt-store list --json");
  EXPECT_EQ(none.exit, 4);
  EXPECT_EQ(none.Error()["exit"], 4);
  for (const char* command : {"list", "stats", "check", "gc", "reindex", "rm a@1", "inspect a",
                              "diff a b", "cat a b", "restore a --to x", "freeze -- true"}) {
    EXPECT_EQ(Run(std::string("ckpt-store ") + command).exit, 4) << command;
    EXPECT_FALSE(std::filesystem::exists(Path(".ckpt"))) << command;
  }
  SaveThree();
  const Outcome series = Run("ckpt-store list metl");
  EXPECT_EQ(series.exit, 4);
  EXPECT_NE(series.err.find("did you mean 'melt'?"), std::string::npos) << series.err;
}

TEST_F(Look, TheStoreIsTheOptionElseTheVariableElseDotCkpt) {
  Write("a", "x");
  Do("ckpt-store save here a && ckpt-store -s other save there a");
  EXPECT_EQ(Do("ckpt-store list --json").Json()[0]["series"], "here");
  EXPECT_EQ(Do("CKPT_STORE=other ckpt-store list --json").Json()[0]["series"], "there");
  EXPECT_EQ(Do("CKPT_STORE=other ckpt-store list -s .ckpt --json").Json()[0]["series"], "here");
  EXPECT_EQ(Do("CKPT_STORE= ckpt-store list --json").Json()[0]["series"], "here");
}

TEST_F(Look, InspectHasTheKeys) {
  SaveThree();
  const auto json = Do("ckpt-store inspect melt@20 --json").Json();
  ExpectKeys(json, "series step attempt created state entries packs tags");
  EXPECT_EQ(json["step"], 20);
  ASSERT_EQ(json["entries"].size(), 1u);
  const auto& entry = json["entries"][0];
  ExpectKeys(entry,
             "name kind dtype shape logical_bytes stored_bytes chunks new_chunks codec mode");
  EXPECT_EQ(entry["name"], "data");
  EXPECT_EQ(entry["kind"], "file");
  EXPECT_TRUE(entry["dtype"].is_null());
  EXPECT_EQ(entry["logical_bytes"], 1000000);
  EXPECT_GT(entry["chunks"], 3);
  EXPECT_GE(entry["new_chunks"], 1);
  EXPECT_LE(entry["new_chunks"], 3);
  EXPECT_GE(json["packs"].size(), 1u);
  const Outcome text = Do("ckpt-store inspect melt@20");
  EXPECT_NE(text.out.find("file 06"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("976.6 KiB"), std::string::npos) << text.out;
  // Five bytes changed: of TYPE SIZE STORED CHUNKS SHARED CODEC NAME, nearly all is shared, and
  // noise is stored as it is.
  std::smatch row;
  const std::regex columns("file 06\\d\\d +976.6 KiB +\\S+ \\S+ +\\d+ +(\\d+)\\S* % +(\\S+) +data");
  ASSERT_TRUE(std::regex_search(text.out, row, columns)) << text.out;
  EXPECT_GT(std::stoi(row[1]), 70);
  EXPECT_EQ(row[2], "raw");
  // A hole is nothing that the checkpoint before could share.
  Do("truncate -s 10M holes && ckpt-store save holes holes data");
  const std::string first = Do("ckpt-store inspect holes").out;
  const std::regex nothing_shared(" 0.0 % +raw +data");
  EXPECT_TRUE(std::regex_search(first, nothing_shared)) << first;
  Do("printf x | dd of=holes bs=1M seek=5 conv=notrunc 2> /dev/null && ckpt-store save more holes");
  const std::string one = Do("ckpt-store inspect more").out;
  EXPECT_TRUE(std::regex_search(one, std::regex(" 1 +0.0 % +zstd +holes"))) << one;
}

TEST_F(Look, DiffSaysWhatChangedAndWhere) {
  SaveThree();
  const auto json = Do("ckpt-store diff melt@10 melt@1:20 --json").Json();
  ASSERT_EQ(json["entries"].size(), 1u);
  const auto& entry = json["entries"][0];
  ExpectKeys(entry, "name status changed_bytes logical_bytes ranges");
  EXPECT_EQ(entry["status"], "changed");
  EXPECT_GT(entry["changed_bytes"], 0);
  EXPECT_LT(entry["changed_bytes"], 600000);
  ASSERT_GE(entry["ranges"].size(), 1u);
  EXPECT_LE(entry["ranges"][0]["offset"], 500000);
  Write("new", "n");
  Do("rm data && ckpt-store save melt new --step 30");
  const auto moved = Do("ckpt-store diff melt@10 melt@30 --json").Json()["entries"];
  ASSERT_EQ(moved.size(), 2u);
  EXPECT_EQ(moved[0]["status"], "removed");
  EXPECT_EQ(moved[1]["status"], "added");
  EXPECT_EQ(Do("ckpt-store diff melt@10 melt@10 --json").Json()["entries"].size(), 0u);
}

TEST_F(Look, CatGivesBytesPartsAndErrors) {
  SaveThree();
  Do("ckpt-store cat melt@10 data > whole && ckpt-store cat melt@10 data --offset 1000 --length 10 "
     "> part && tail -c +1001 whole | head -c 10 | cmp - part");
  const Outcome missing = Run("ckpt-store cat melt dta --json");
  EXPECT_EQ(missing.exit, 4);
  EXPECT_EQ(missing.Error()["suggestion"], "data");
  EXPECT_EQ(missing.out, "");
  EXPECT_EQ(Run("ckpt-store cat melt data --npy").exit, 2);  // a file is no array
  Do("mkdir dir && ckpt-store save tree dir");
  EXPECT_EQ(Run("ckpt-store cat tree dir").exit, 2);
}

// `save` counts what was written; what `list` shows is in the manifest, where it had to be
// foretold: the manifest itself, a directory, padding, the sync mark.
TEST_F(Look, StoredBytesAreWhatThePacksGrewBy) {
  Do("ckpt-store init -q");
  const auto packs = [&] {
    std::uintmax_t bytes = 0;
    for (const auto& file : std::filesystem::directory_iterator(Path(".ckpt/packs"))) {
      bytes += file.file_size();
    }
    return bytes;
  };
  // New content, nothing new, an attempt from an older step, tags that fill the stage's last block.
  const std::string long_tag = "--tag k=" + std::string(3500, 'x');
  for (const auto& [seed, options] : std::vector<std::pair<int, std::string>>{
           {1, ""}, {2, ""}, {2, ""}, {3, "--from 1"}, {3, "--step 1"}, {4, long_tag}}) {
    Write("data", Noise(1000000, static_cast<std::uint64_t>(seed)));
    const std::uintmax_t before = packs();
    const auto saved = Do("ckpt-store save melt data --json " + options).Json();
    const auto stored = saved["stored_bytes"].get<std::uintmax_t>();
    EXPECT_EQ(stored, packs() - before) << seed << options;
    const auto listed = Do("ckpt-store list melt --last 1 --json").Json()[0];
    EXPECT_EQ(listed["stored_bytes"], stored) << seed << options;
    const auto inspected = Do("ckpt-store inspect melt --json").Json();
    EXPECT_EQ(inspected["stored_bytes"], listed["stored_bytes"]);
  }
}

TEST_F(Look, StatsHasTheKeysAndAddsUp) {
  SaveThree();
  const auto json = Do("ckpt-store stats --json").Json();
  ExpectKeys(json,
             "checkpoints logical_bytes unique_bytes stored_bytes dedup_ratio compression_ratio "
             "total_ratio chunks packs garbage_bytes reserve_bytes index_bytes");
  // What a small store takes beyond its data is named.
  EXPECT_GE(json["reserve_bytes"], 1 << 20);
  EXPECT_LT(json["stored_bytes"].get<int>() - json["reserve_bytes"].get<int>(), 1800000);
  EXPECT_EQ(json["checkpoints"], 3);
  EXPECT_EQ(json["logical_bytes"], 3000000);
  EXPECT_LT(json["unique_bytes"], 1700000);
  const auto unique = json["unique_bytes"].get<double>();
  EXPECT_NEAR(json["dedup_ratio"].get<double>(), 3000000 / unique, 0.01);
  EXPECT_NEAR(json["total_ratio"].get<double>(), 3000000 / json["stored_bytes"].get<double>(),
              0.01);
  EXPECT_NEAR(json["compression_ratio"].get<double>(), 1, 0.1);  // noise
  EXPECT_NE(Do("ckpt-store stats").out.find("dedup"), std::string::npos);
}

TEST_F(Look, AnalyzeComparesEightWaysAndWritesNothing) {
  Write("a", Noise(1000000, 1));
  Do("cp a b");
  const auto json = Do("ckpt-store analyze a b --json").Json();
  EXPECT_EQ(json["files"], 2);
  EXPECT_EQ(json["logical_bytes"], 2000000);
  ASSERT_EQ(json["results"].size(), 8u);
  for (const auto& result : json["results"]) {
    ExpectKeys(result, "chunker size unique_bytes dedup_ratio stored_bytes total_ratio");
    EXPECT_NEAR(result["dedup_ratio"].get<double>(), 2, 0.01);
  }
  ASSERT_EQ(json["efforts"].size(), 3u);
  for (const auto& effort : json["efforts"]) {
    ExpectKeys(effort,
               "effort level sampled_bytes stored_bytes total_ratio encode_bytes_per_second "
               "decode_bytes_per_second");
    EXPECT_NEAR(effort["total_ratio"].get<double>(), 2, 0.02);  // noise, twice
  }
  EXPECT_EQ(json["efforts"][1]["stored_bytes"], json["results"][6]["stored_bytes"]);
  const std::string text = Do("ckpt-store analyze a b").out;
  EXPECT_NE(text.find("\nEFFORT "), std::string::npos) << text;
  EXPECT_NE(text.find("\nsmall "), std::string::npos) << text;
  EXPECT_EQ(Do("ls -A").out, "a\nb\n");
  EXPECT_EQ(Run("ckpt-store analyze nosuch").exit, 4);
}

TEST_F(Look, EffortIsChosenForAStoreOrASaveAndInspected) {
  Write("a", Noise(1000000, 1));
  EXPECT_NE(Do("ckpt-store init --effort fast").out.find("effort fast"), std::string::npos);
  EXPECT_EQ(Do("ckpt-store init -s other --effort small --json").Json()["effort"], "small");
  const Outcome wrong = Run("ckpt-store save melt a --effort 9");
  EXPECT_EQ(wrong.exit, 2);
  EXPECT_NE(wrong.err.find("'9' is not fast, balanced or small"), std::string::npos) << wrong.err;
  Do("ckpt-store save melt a --effort small");
  EXPECT_FALSE(Do("ckpt-store inspect melt --json").Json().contains("efforts"));
  const auto json = Do("ckpt-store inspect melt --efforts --json").Json();
  ASSERT_EQ(json["efforts"].size(), 3u);
  EXPECT_EQ(json["efforts"][0]["effort"], "fast");
  EXPECT_EQ(json["efforts"][2]["sampled_bytes"], 1000000);
  EXPECT_NE(Do("ckpt-store inspect melt --efforts").out.find("\nbalanced "), std::string::npos);
  EXPECT_EQ(Run("ckpt-store inspect nosuch --efforts").exit, 4);
}

TEST_F(Look, ListOfAnEmptyStoreIsEmpty) {
  Do("ckpt-store init -q");
  EXPECT_EQ(Do("ckpt-store list --json").out, "[]\n");
  const Outcome text = Do("ckpt-store list");
  EXPECT_EQ(text.out, "");
  EXPECT_NE(text.err.find("no checkpoints"), std::string::npos);
}

}  // namespace
}  // namespace ckpt
