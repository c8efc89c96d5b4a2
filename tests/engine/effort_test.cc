// What each effort stores, that all of it reads back, and that estimates say what is stored.

#include "store/codec/effort.h"

#include "store/engine/effort_trial.h"
#include "store/engine/inspect.h"
#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

constexpr Effort kAll[] = {Effort::kFast, Effort::kBalanced, Effort::kSmall};

class EffortTest : public LookTest {
 protected:
  // Words, which a higher level finds more of.
  static std::string Text(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<std::string> words(3000);
    for (std::string& word : words) {
      for (std::uint64_t n = 2 + random() % 8; n > 0; --n) word += "etaoinshrdlu"[random() % 12];
    }
    std::string text;
    while (text.size() < 1'000'000) text += words[random() % words.size()] + ' ';
    return text.substr(0, 1'000'000);
  }
  Saved SaveFile(Store* store, const std::string& series, Effort effort) {
    SaveFilesOptions options;
    options.save.series = series;
    options.save.effort = effort;
    auto saved = SaveFiles(store, {"d"}, options);
    EXPECT_TRUE(saved.ok()) << saved.status().ToString();
    return saved.ok() ? *saved : Saved();
  }
  // What content-defined chunks that nobody else has take, by one effort.
  std::uint64_t StoredAlone(Effort effort, int level = 3) {
    OpenStoreOptions options = options_;
    options.mode = OpenStoreOptions::Mode::kCreateNew;
    options.format.level = level;
    options.format.effort = effort;
    const std::string path = tmp_ / ("alone" + std::to_string(alone_++));
    auto store = Store::Open(PosixEnv(), path, options);
    EXPECT_TRUE(store.ok());
    EXPECT_EQ((*store)->format().effort, effort);
    store->reset();
    options.mode = OpenStoreOptions::Mode::kWrite;  // the format file remembers
    store = Store::Open(PosixEnv(), path, options);
    EXPECT_EQ((*store)->format().effort, effort);
    return SaveFile(store->get(), "melt", Effort::kUnsaid).stored_bytes;
  }
  static std::uint64_t StoredOf(Store* store, const std::string& checkpoint,
                                std::string* codec = nullptr) {
    std::uint64_t bytes = 0;
    InspectVisitor visitor;
    visitor.entry = [&](const InspectedEntry& entry) {
      bytes += entry.stored_bytes;
      if (codec != nullptr) *codec = entry.codec;
      return Status();
    };
    EXPECT_TRUE(InspectCheckpoint(store, checkpoint, visitor).ok());
    return bytes;
  }
  // `values` as the array "x" of the series.
  static void Put(Store* store, const std::string& series, const std::vector<double>& values,
                  Effort of_save, Effort of_array = Effort::kUnsaid) {
    SaveOptions options;
    options.series = series;
    options.effort = of_save;
    auto writer = ArrayWriter::Begin(store, options);
    ASSERT_TRUE(writer.ok()) << writer.status().ToString();
    ArrayShape shape;
    shape.dtype = Dtype::kFloat64;
    shape.shape = {values.size()};
    ASSERT_OK((*writer)->Put("x", std::as_bytes(std::span(values)), shape, of_array));
    ASSERT_TRUE((*writer)->End().ok());
    auto reader = CheckpointReader::Open(store, series);
    ASSERT_TRUE(reader.ok());
    std::vector<double> back(values.size());
    ASSERT_OK((*reader)->Get("x", std::as_writable_bytes(std::span(back))));
    EXPECT_EQ(back, values);
  }
  // Noise of which a share of all elements is of this step.
  static std::vector<double> Noise(std::uint64_t step, double share) {
    std::mt19937_64 same(1), other(100 + step);
    std::vector<double> values(4 * 8192);
    for (double& value : values) {
      value = static_cast<double>(same()) * 1e-10;
      const std::uint64_t another = other();
      if (static_cast<double>(another % 1000) < share * 1000) {
        value = static_cast<double>(another) * 1e-10;
      }
    }
    return values;
  }

  int alone_ = 0;
};

TEST(Effort, HasANameAndRules) {
  EXPECT_EQ(EffortName(Effort::kFast), "fast");
  EXPECT_EQ(EffortName(Effort::kBalanced), "balanced");
  EXPECT_EQ(EffortName(Effort::kSmall), "small");
  EXPECT_EQ(EffortName(Effort::kUnsaid), "");
  EXPECT_EQ(RuleOf(Effort::kBalanced, 7).level, 7);
  EXPECT_EQ(RuleOf(Effort::kFast, 7).level, 1);
  EXPECT_EQ(RuleOf(Effort::kFast, -2).level, -2);
  EXPECT_EQ(RuleOf(Effort::kSmall, 19).level, 19);
  EXPECT_GT(RuleOf(Effort::kSmall, 3).level, 3);
}

TEST_F(EffortTest, OfAStoreIsRememberedAndMakesItSmaller) {
  WriteFile(tmp_ / "d/text", Text(1));
  const std::uint64_t fast = StoredAlone(Effort::kFast), balanced = StoredAlone(Effort::kBalanced),
                      small = StoredAlone(Effort::kSmall);
  EXPECT_LT(balanced, fast);
  EXPECT_LT(small, balanced);
  EXPECT_EQ(StoredAlone(Effort::kFast, 9), fast);
}

TEST_F(EffortTest, OfASaveIsAboveTheStoresAndOfAnArrayAboveBoth) {
  auto store = Open();  // balanced
  std::string codec;
  Put(store.get(), "a", Noise(1, 1), Effort::kUnsaid);
  Put(store.get(), "a", Noise(2, 0.01), Effort::kUnsaid);
  StoredOf(store.get(), "a", &codec);
  EXPECT_NE(codec.find("delta"), 0u) << "the first was other noise";
  Put(store.get(), "a", Noise(3, 0.01), Effort::kUnsaid);
  StoredOf(store.get(), "a", &codec);
  EXPECT_EQ(codec, "delta8+zstd");
  Put(store.get(), "a", Noise(4, 0.01), Effort::kFast);
  StoredOf(store.get(), "a", &codec);
  EXPECT_EQ(codec.find("delta"), std::string::npos) << codec;
  Put(store.get(), "a", Noise(5, 0.01), Effort::kFast, Effort::kBalanced);
  StoredOf(store.get(), "a", &codec);
  EXPECT_EQ(codec, "delta8+zstd");
  Put(store.get(), "a", Noise(6, 0.01), Effort::kBalanced, Effort::kFast);
  StoredOf(store.get(), "a", &codec);
  EXPECT_EQ(codec.find("delta"), std::string::npos) << codec;
}

// Nearly half of the numbers are others: too many for half of the bytes, few enough for small.
TEST_F(EffortTest, SmallTakesLargerDifferences) {
  for (const Effort effort : {Effort::kBalanced, Effort::kSmall}) {
    auto store = Open();
    const std::string series = "s" + std::to_string(static_cast<int>(effort));
    std::string codec;
    Put(store.get(), series, Noise(0, 0), effort);
    Put(store.get(), series, Noise(1 + static_cast<std::uint64_t>(effort), 0.45), effort);
    StoredOf(store.get(), series, &codec);
    EXPECT_EQ(codec.starts_with("delta"), effort == Effort::kSmall) << codec;
  }
}

// All of it is sampled here, so that an estimate is what the effort stores.
TEST_F(EffortTest, EstimatesAreWhatASaveStores) {
  WriteFile(tmp_ / "d/text", Text(2));
  for (const Effort effort : kAll) {
    OpenStoreOptions options = options_;
    options.mode = OpenStoreOptions::Mode::kCreateNew;
    auto store = Store::Open(PosixEnv(), tmp_ / std::string(EffortName(effort)), options);
    ASSERT_TRUE(store.ok());
    SaveFile(store->get(), "melt", effort);
    auto estimates = EstimateEfforts(store->get(), "melt");
    ASSERT_TRUE(estimates.ok()) << estimates.status().ToString();
    for (const EffortEstimate& e : *estimates) {
      EXPECT_EQ(e.sampled_bytes, 1'000'000u);
      EXPECT_GT(e.encode_bytes_per_s, 0);
      EXPECT_GT(e.decode_bytes_per_s, 0);
      if (e.effort != effort) continue;
      EXPECT_EQ(e.stored_bytes, StoredOf(store->get(), "melt"));
    }
  }
}

TEST_F(EffortTest, EstimatesOfDifferencesAreFromTheirBases) {
  auto store = Open();
  Put(store.get(), "a", Noise(0, 0), Effort::kUnsaid);
  Put(store.get(), "a", Noise(1, 0.02), Effort::kUnsaid);
  std::string codec;
  const std::uint64_t stored = StoredOf(store.get(), "a", &codec);
  ASSERT_EQ(codec, "delta8+zstd");
  auto estimates = EstimateEfforts(store.get(), "a");
  ASSERT_TRUE(estimates.ok()) << estimates.status().ToString();
  EXPECT_EQ((*estimates)[1].stored_bytes, stored);
  EXPECT_GT((*estimates)[0].stored_bytes, 4 * stored) << "fast has none";
}

TEST_F(EffortTest, ASampleIsEvenAndBounded) {
  const EffortTrial all(3, 64u << 20), some(3, std::uint64_t{64} << 30);
  int of_all = 0, of_some = 0;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    Id128 id;
    std::mt19937_64 random(i);
    for (auto& byte : id.bytes) byte = static_cast<std::uint8_t>(random());
    of_all += all.Samples(id) ? 1 : 0;
    of_some += some.Samples(id) ? 1 : 0;
  }
  EXPECT_EQ(of_all, 100'000);
  EXPECT_NEAR(of_some, 100'000 / 1024, 50);
}

TEST_F(EffortTest, WhatHasNoChunksHasEmptyEstimates) {
  WriteFile(tmp_ / "d/tiny", "x");
  auto store = Open();
  SaveDir(store.get());
  auto estimates = EstimateEfforts(store.get(), "melt");
  ASSERT_TRUE(estimates.ok());
  for (const EffortEstimate& e : *estimates) {
    EXPECT_EQ(e.stored_bytes, 0u);
    EXPECT_EQ(e.encode_bytes_per_s, 0);
  }
  EXPECT_EQ(EstimateEfforts(store.get(), "other").status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace ckpt
