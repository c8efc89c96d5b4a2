// Sessions on a full disk: a small tmpfs, where it may be mounted.

#include <sys/mount.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "tests/session/session_fixture.h"

namespace ckpt {
namespace {

class SessionDiskFull : public SessionTest {
 protected:
  void SetUp() override {
    folder_ = tmp_ / "small";
    std::filesystem::create_directory(folder_);
    mounted_ = mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=16m") == 0;
    if (!mounted_) GTEST_SKIP() << "no tmpfs can be mounted here";
    options_.store.format.pack_bytes_max = 2 << 20;
  }
  void TearDown() override {
    if (mounted_) umount(folder_.c_str());
  }
  std::unique_ptr<Session> OpenSmall() {
    auto session = Session::Open(PosixEnv(), folder_ + "/store", "run", options_);
    EXPECT_TRUE(session.ok()) << session.status().ToString();
    return session.ok() ? *std::move(session) : nullptr;
  }
  void ExpectRestored(const std::vector<double>& x) {
    auto s = OpenSmall();
    std::vector<double> back;
    ASSERT_OK(s->Protect(VectorItem("x", &back)));
    auto restored = s->Restore();
    ASSERT_TRUE(restored.ok()) << restored.status().ToString();
    EXPECT_EQ(back, x);
  }
  void Scramble(std::vector<double>* x) {
    for (double& v : *x) v = static_cast<double>(random_());
  }
  // Leaves so many bytes of the disk.
  void FillUp(std::uint64_t leave) {
    std::ofstream file(folder_ + "/filler", std::ios::binary);
    const std::string block(64 << 10, 'x');
    while (std::filesystem::space(folder_).available > leave && file.write(block.data(), 65536)) {
      file.flush();
    }
  }
  void Empty() { std::filesystem::remove(folder_ + "/filler"); }

  std::string folder_;
  bool mounted_ = false;
  std::mt19937_64 random_{29};
};

TEST_F(SessionDiskFull, OldCheckpointsMakeRoomForNewOnes) {
  options_.housekeeping_share = 0;   // only a full disk has it done
  std::vector<double> x(128 << 10);  // 1 MiB: sixteen fill the disk
  {
    auto s = OpenSmall();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    for (int step = 1; step <= 40; ++step) {
      Scramble(&x);
      (void)s->Step(step);
      (void)s->Commit();
    }
    while (s->Report().durable_step < 41) {
      (void)s->Step(41);
      (void)s->Commit();
      ASSERT_LT(s->Report().failed_saves, 60u);
    }
    EXPECT_GT(s->Report().removed, 0u);
    EXPECT_GT(s->Report().freed_bytes, 0u);
  }
  auto s = OpenSmall();
  std::vector<double> back;
  ASSERT_OK(s->Protect(VectorItem("x", &back)));
  auto restored = s->Restore();
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();
  EXPECT_EQ(restored->step, 41);
  EXPECT_EQ(back, x);
}

// All in one pack, faster than each is committed: what was staged must not go down with the pack in
// which the disk became full, nor hold on to its room for ever.
TEST_F(SessionDiskFull, ARunThatFillsTheDiskGoesOnSaving) {
  options_.store.format.pack_bytes_max = 512u << 20;
  options_.housekeeping_share = 0;
  std::vector<double> x(128 << 10);
  constexpr int kSteps = 60;
  {
    auto s = OpenSmall();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    for (int step = 1; step <= kSteps; ++step) {
      Scramble(&x);
      ASSERT_OK(s->Step(step).error);
    }
    ASSERT_OK(s->Commit());
    EXPECT_EQ(s->Report().failed_saves, 0u);
    EXPECT_GT(s->Report().freed_bytes, 0u);
  }
  ExpectRestored(x);
}

// What an earlier session staged would have to be copied to be taken over, and there is no room.
TEST_F(SessionDiskFull, WhatCannotBeTakenOverDoesNotHinderTheNextSave) {
  options_.store.format.pack_bytes_max = 512u << 20;
  options_.durability = Durability::kOnRequest;
  std::vector<double> x(384 << 10);  // 3 MiB
  const pid_t child = fork();
  if (child == 0) {
    auto s = OpenSmall();
    if (!s->Protect(VectorItem("x", &x)).ok()) _exit(3);
    for (int step = 1; step <= 2; ++step) {
      Scramble(&x);
      if (!s->Step(step).error.ok() || !s->WaitStaged().ok()) _exit(4);
    }
    kill(getpid(), SIGKILL);
  }
  waitpid(child, nullptr, 0);
  random_.seed(31);
  FillUp(4 << 20);
  auto s = OpenSmall();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  auto restored = s->Restore();
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();
  EXPECT_EQ(restored->step, 2);
  for (int step = 3; step <= 5 && s->Report().durable_step < 0; ++step) {
    Scramble(&x);
    (void)s->Step(step);
    (void)s->Commit();
  }
  EXPECT_GE(s->Report().durable_step, 3);
  s.reset();
  ExpectRestored(x);
}

TEST_F(SessionDiskFull, TheComputationGoesOnAndSavesAgainOnceThereIsRoom) {
  std::vector<double> x(128 << 10);
  Scramble(&x);
  std::vector<double> first = x;
  auto s = OpenSmall();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  ASSERT_OK(s->Step(1).error);
  ASSERT_OK(s->Commit());
  FillUp(256 << 10);
  bool told = false;
  for (int step = 2; step <= 6; ++step) {
    Scramble(&x);
    StepResult result = s->Step(step);
    told = told || result.error.code() == Code::kNoSpace;
    EXPECT_FALSE(result.stop);
    told = s->Commit().code() == Code::kNoSpace || told;
  }
  EXPECT_TRUE(told);
  EXPECT_EQ(s->Report().durable_step, 1);
  std::size_t said = 0;
  {
    std::lock_guard lock(notices_mutex_);
    for (const std::string& text : notices_) {
      said += text.find("a checkpoint was not saved") != std::string::npos ? 1 : 0;
    }
  }
  EXPECT_EQ(said, 1u);
  Empty();
  for (int step = 7; s->Report().durable_step < 7 && step < 100; ++step) {
    (void)s->Step(step);
    (void)s->Commit();
  }
  EXPECT_GE(s->Report().durable_step, 7);
  s.reset();
  ExpectRestored(x);
}

TEST_F(SessionDiskFull, ByPolicyTheStepWaitsUntilThereIsRoom) {
  options_.on_error = OnError::kRetry;
  std::vector<double> x(128 << 10);
  Scramble(&x);
  auto s = OpenSmall();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  ASSERT_OK(s->Step(1).error);
  ASSERT_OK(s->Commit());
  FillUp(256 << 10);
  std::thread person([&] {
    while (s->Report().failed_saves == 0) std::this_thread::yield();
    Empty();
  });
  Scramble(&x);
  StepResult result = s->Step(2);
  person.join();
  EXPECT_TRUE(result.saved);
  ASSERT_OK(s->Commit());
  EXPECT_EQ(s->Report().durable_step, 2);
}

TEST_F(SessionDiskFull, ByPolicyTheStepSaysStop) {
  options_.on_error = OnError::kStop;
  std::vector<double> x(128 << 10);
  Scramble(&x);
  auto s = OpenSmall();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  ASSERT_OK(s->Step(1).error);
  FillUp(256 << 10);
  bool stop = false;
  for (int step = 2; step < 10 && !stop; ++step) {
    Scramble(&x);
    stop = s->Step(step).stop;
    if (!stop) (void)s->WaitStaged();
  }
  EXPECT_TRUE(stop);
}

}  // namespace
}  // namespace ckpt
