// What a store would do to files.

#include "store/engine/analyze.h"

#include <random>
#include <set>

#include "store/codec/hash.h"
#include "store/engine/sampled_ids.h"
#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

class AnalyzeTest : public LookTest {
 protected:
  static Analysis Run(const std::vector<std::string>& paths) {
    auto analysis = AnalyzeFiles(PosixEnv(), paths, AnalyzeOptions());
    EXPECT_TRUE(analysis.ok()) << analysis.status().ToString();
    return analysis.ok() ? *analysis : Analysis();
  }

  struct Naive {
    std::set<Id128> seen;
    std::uint64_t unique_bytes = 0;
    std::uint64_t chunks = 0;

    void Add(ByteSpan raw) {
      if (raw.size() <= kInlineBytesMax) {
        unique_bytes += raw.size();
      } else if (seen.insert(HashChunk(raw)).second) {
        unique_bytes += raw.size();
        ++chunks;
      }
    }
  };
  static Naive Reference(const std::vector<std::string>& files, const ChunkingAnalysis& of) {
    Naive naive;
    auto chunker = Chunker::Create(ChunkerParams::ForAverage(of.chunk_bytes));
    for (const std::string& text : files) {
      ByteSpan rest = AsBytes(text);
      while (!rest.empty()) {
        std::size_t length = of.content_defined
                                 ? chunker->Next(rest, true)
                                 : std::min<std::size_t>(of.chunk_bytes, rest.size());
        naive.Add(rest.first(length));
        rest = rest.subspan(length);
      }
    }
    return naive;
  }
};

TEST_F(AnalyzeTest, EveryChunkingAgreesWithCuttingWholeFiles) {
  std::vector<std::string> files;
  std::string big = RandomText(11 << 20, 1);
  files.push_back(big);
  big.insert(big.size() / 2, "an insertion");
  files.push_back(big);
  files.push_back("");
  files.push_back("tiny");
  for (int i = 0; i < 40; ++i) files.push_back(RandomText(100 + 997 * i, 2 + i % 20));
  std::uint64_t logical = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    WriteFile(tmp_ / ("d/" + std::to_string(100 + i)), files[i]);
    logical += files[i].size();
  }
  Analysis analysis = Run({"d"});
  EXPECT_EQ(analysis.files, files.size());
  EXPECT_EQ(analysis.logical_bytes, logical);
  ASSERT_EQ(analysis.results.size(), 8u);
  for (const ChunkingAnalysis& result : analysis.results) {
    Naive naive = Reference(files, result);
    EXPECT_EQ(result.unique_bytes, naive.unique_bytes)
        << result.content_defined << " " << result.chunk_bytes;
    EXPECT_EQ(result.chunks, naive.chunks);
  }
  const ChunkingAnalysis& fixed = analysis.results[2];
  const ChunkingAnalysis& content_defined = analysis.results[6];
  EXPECT_EQ(fixed.chunk_bytes, content_defined.chunk_bytes);
  EXPECT_LT(content_defined.unique_bytes, fixed.unique_bytes - (4 << 20)) << "finds the insertion";
}

TEST_F(AnalyzeTest, SaysWhatASaveStores) {
  WriteFile(tmp_ / "d/f", RandomText(2 << 20, 1) + std::string(2 << 20, 'x'));
  auto store = Open();
  Saved saved = SaveDir(store.get());
  const ChunkingAnalysis result = Run({"d"}).results[6];  // the store's own parameters
  EXPECT_EQ(result.chunk_bytes, store->format().chunker.avg_bytes);
  EXPECT_LT(result.stored_bytes, saved.stored_bytes);
  EXPECT_GT(result.stored_bytes + 40000, saved.stored_bytes) << "but for nodes and padding";
}

TEST_F(AnalyzeTest, HolesCostNothing) {
  WriteFile(tmp_ / "d/f", RandomText(65536, 1));
  std::filesystem::resize_file(tmp_ / "d/f", 100 << 20);
  Analysis analysis = Run({"d/f"});
  EXPECT_EQ(analysis.logical_bytes, 100u << 20);
  EXPECT_LT(analysis.results[2].unique_bytes, 1u << 20);
}

TEST_F(AnalyzeTest, MissingPathsAndCancellationEndIt) {
  EXPECT_EQ(AnalyzeFiles(PosixEnv(), {"nowhere"}, {}).status().code(), Code::kNotFound);
  EXPECT_EQ(AnalyzeFiles(PosixEnv(), {}, {}).status().code(), Code::kInvalidArgument);
  WriteFile(tmp_ / "d/f", RandomText(1 << 20, 1));
  AnalyzeOptions options;
  options.progress = [](const Progress&) { return false; };
  EXPECT_EQ(AnalyzeFiles(PosixEnv(), {"d"}, options).status().code(), Code::kCancelled);
}

TEST(SampledIds, IsExactUntilFullAndThenAnEstimate) {
  SampledIds exact;
  SampledIds sampled(1 << 14);
  std::mt19937_64 random(1);
  std::uint64_t bytes = 0;
  constexpr std::uint64_t kIds = 400000;
  for (std::uint64_t i = 0; i < kIds; ++i) {
    Id128 id = HashChunk(std::as_bytes(std::span(&i, 1)));
    std::uint32_t raw = 1000 + static_cast<std::uint32_t>(random() % 1000);
    bytes += raw;
    for (SampledIds* ids : {&exact, &sampled}) {
      if (SampledIds::Sizes* sizes = ids->Insert(id)) *sizes = {raw, raw / 2};
      EXPECT_EQ(ids->Insert(id), nullptr) << "known, or not in the sample";
    }
  }
  EXPECT_TRUE(exact.exact());
  EXPECT_EQ(exact.Sum().chunks, kIds);
  EXPECT_EQ(exact.Sum().raw_bytes, bytes);
  EXPECT_FALSE(sampled.exact());
  double ratio = static_cast<double>(sampled.Sum().raw_bytes) / static_cast<double>(bytes);
  EXPECT_NEAR(ratio, 1.0, 0.05);
}

}  // namespace
}  // namespace ckpt
