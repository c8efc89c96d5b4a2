// Lenient restores past damage: what is missing must not hold bytes of a damaged checkpoint.

#include <fstream>

#include "tests/session/session_fixture.h"

namespace ckpt {
namespace {

class SessionLenient : public SessionTest {
 protected:
  SessionLenient() {
    options_.keep_last = 0;
    options_.lenient = true;
  }
  // "x", and "a" where it is given: names in their order are filled in it.
  void Save(std::int64_t step, std::vector<double> x, std::vector<double> a = {}) {
    auto s = Open();
    ASSERT_OK(s->Restore().status());
    ASSERT_OK(s->Begin(step));
    if (!a.empty()) {
      ASSERT_OK(s->Put("a", {std::as_bytes(std::span(a)), DoubleShape(a.size())}));
    }
    ASSERT_OK(s->Put("x", {std::as_bytes(std::span(x)), DoubleShape(x.size())}));
    ASSERT_OK(s->End().error);
    ASSERT_OK(s->Finish(true).error);
  }
  // One byte of the first chunk of x at this step.
  void Damage(std::int64_t step) {
    OpenStoreOptions options;
    auto store = Store::Open(PosixEnv(), store_path(), options);
    ASSERT_OK(store.status());
    auto reader = CheckpointReader::Open(store->get(), "run@" + std::to_string(step));
    ASSERT_OK(reader.status());
    auto found = (*reader)->Find("x");
    ASSERT_OK(found.status());
    ChunkListReader list(found->entry->content, found->fetcher);
    auto item = list.Next();
    ASSERT_TRUE(item.ok() && item->has_value());
    auto place = found->fetcher->Locate((*item)->id);
    ASSERT_OK(place.status());
    std::fstream file(store_path() + "/packs/" + PackFileName(place->pack_id),
                      std::ios::in | std::ios::out | std::ios::binary);
    const auto at = static_cast<std::streamoff>(place->entry.offset + kRecordHeaderBytes + 100);
    file.seekg(at);
    const int byte = file.get();
    file.seekp(at);
    file.put(static_cast<char>(byte ^ 1));
  }
  // Into x_ and a_.
  Result<RestoreResult> Restore() {
    auto s = Open();
    EXPECT_OK(s->Protect(VectorItem("a", &a_)));
    EXPECT_OK(s->Protect(VectorItem("x", &x_)));
    return s->Restore();
  }

  const std::vector<double> one_ = Numbers(20000, 1), two_ = Numbers(20000, 2),
                            three_ = Numbers(20000, 3);
  std::vector<double> x_, a_ = {7};
};

TEST_F(SessionLenient, WhatTheDamagedOneOverwroteIsNotPassedOffAsMissing) {
  Save(1, one_);
  Save(2, two_, three_);
  Damage(2);
  const Status status = Restore().status();
  EXPECT_EQ(status.code(), Code::kCorruption) << status.ToString();
  EXPECT_NE(status.message().find("undefined"), std::string::npos) << status.message();
  EXPECT_TRUE(Noticed("it does not have 'a'"));
}

TEST_F(SessionLenient, AnOlderOneThatHasItIsTaken) {
  Save(1, one_, two_);
  Save(2, two_);
  Save(3, three_, one_);
  Damage(3);
  auto restored = Restore();
  ASSERT_OK(restored.status());
  EXPECT_EQ(restored->step, 1);
  EXPECT_EQ(x_, one_);
  EXPECT_EQ(a_, two_);
}

TEST_F(SessionLenient, WhatNothingOverwroteMayBeMissing) {
  Save(1, one_);
  Save(2, two_);
  Damage(2);
  auto restored = Restore();
  ASSERT_OK(restored.status());
  EXPECT_EQ(restored->step, 1);
  EXPECT_EQ(restored->missing, std::vector<std::string>{"a"});
  EXPECT_EQ(a_, std::vector<double>{7});
}

}  // namespace
}  // namespace ckpt
