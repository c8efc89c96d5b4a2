// Rebuilding an index: what no row holds is refused, one builder at a time, more records than a
// transaction has room for, and a child of the builder's process leaves it alone.

#include <gtest/gtest.h>

#include <thread>

#include "store/index/memory_index.h"
#include "tests/index/index_fixture.h"

namespace ckpt {
namespace {

using namespace index_test;  // NOLINT

class RebuildLimits : public ::testing::Test {
 protected:
  RebuildLimits() : index_(MustOpen(OptionsFor(dir_.path() + "/index"))) {}

  TempDir dir_;
  std::shared_ptr<Index> index_;
};

TEST_F(RebuildLimits, WhatNoRowHoldsIsRefused) {
  EXPECT_EQ(StartRebuild(NewMemoryIndex()).status().code(), Code::kInvalidArgument);
  auto builder = StartRebuild(index_);
  ASSERT_TRUE(builder.ok()) << builder.status().ToString();
  EXPECT_EQ((*builder)->AddChunk(PackId(1), Chunk(1, 1ull << 48)).code(), Code::kInvalidArgument);
  for (const IndexRecord& record : {Record("", "v"), Record(std::string(401, 'k'), "v"),
                                    Record("k", std::string(65537, 'v'))}) {
    EXPECT_EQ((*builder)->AddRecord(PackId(1), record).code(), Code::kInvalidArgument);
  }
  Code second = Code::kOk;
  std::thread([&] { second = StartRebuild(index_).status().code(); }).join();
  EXPECT_EQ(second, Code::kBusy);
}

TEST_F(RebuildLimits, ManyLargeRecordsAreThereAfterwards) {
  auto builder = StartRebuild(index_);
  ASSERT_TRUE(builder.ok());
  constexpr int kRecords = 600;
  for (int i = 0; i < kRecords; ++i) {
    const IndexRecord record = Record("r/" + std::to_string(1000 + i), std::string(65000, 'v'));
    ASSERT_TRUE((*builder)->AddRecord(PackId(1), record).ok());
  }
  ASSERT_TRUE((*builder)->Finish({{PackId(1), 9000, 1, 2}}).ok());
  builder->reset();
  EXPECT_EQ(Scan(index_.get(), "r/").size(), static_cast<std::size_t>(kRecords));
  EXPECT_EQ(Scan(index_.get(), std::string(500, 'r')).size(), 0u) << "longer than any key";
}

}  // namespace
}  // namespace ckpt
