// ckpt::Session of ckpt.hpp, and the C functions beneath, as a user's code sees them.

#include <gtest/gtest.h>

#include <array>
#include <ckpt/ckpt.hpp>
#include <cstring>
#include <numeric>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/temp_dir.h"

namespace {

struct Particle {
  double x, v;
  int id;
};

ckpt::SessionOptions EachStep() {
  ckpt::SessionOptions options = ckpt::DefaultSessionOptions();
  options.every_steps = 1;
  return options;
}

TEST(SessionApi, TheRecipeContinuesWhereItEnded) {
  ckpt::TempDir tmp;
  auto run = [&](std::int64_t last, std::vector<double>* result) {
    auto session = ckpt::Session::Open(tmp / "run.ckpt", "heat", EachStep()).value();
    std::vector<double> T, Tnew;
    std::int64_t done = 0;
    session.Protect("T", &T).value();
    if (session.Restore(&done).value() == ckpt::kFresh) T.assign(5000, 1.0);
    while (done < last) {
      Tnew = T;
      for (double& t : Tnew) t = 0.5 * t + static_cast<double>(done);
      std::swap(T, Tnew);
      ++done;
      if (session.Step(done) == ckpt::kStop) break;
    }
    *result = T;
    return session.Finish(done == last);
  };
  std::vector<double> half, continued, whole;
  EXPECT_EQ(run(3, &half), 0);
  EXPECT_EQ(run(7, &continued), 0);
  tmp.~TempDir();
  new (&tmp) ckpt::TempDir;
  EXPECT_EQ(run(7, &whole), 0);
  EXPECT_EQ(continued, whole);
}

TEST(SessionApi, EveryKindOfStateComesBack) {
  ckpt::TempDir tmp;
  std::vector<float> vector(1000);
  std::iota(vector.begin(), vector.end(), 1.f);
  std::vector<Particle> particles(100);
  for (std::size_t i = 0; i < particles.size(); ++i) {
    std::memset(static_cast<void*>(&particles[i]), 0, sizeof(Particle));
    particles[i].x = static_cast<double>(i);
  }
  double scalar = 2.5;
  std::array<int, 6> matrix = {1, 2, 3, 4, 5, 6};
  int* pointer = matrix.data();
  std::vector<double> memory(12, 7.0);
  std::string generator = "17 4";
  for (bool saving : {true, false}) {
    auto session = ckpt::Session::Open(tmp / "run.ckpt", "all", EachStep()).value();
    session.Protect("vector", &vector).value();
    session.Protect("particles", &particles, ckpt::Layout("x v id")).value();
    session.Protect("scalar", &scalar).value();
    session.Protect("matrix", &pointer, {2, 3}).value();
    session.Scope("fluid/").Protect("memory", memory.data(), {3, 4}).value();
    session
        .Protect(
            "rng", [&] { return generator; }, [&](const std::string& bytes) { generator = bytes; })
        .value();
    std::int64_t done = 0;
    if (saving) {
      EXPECT_EQ(session.Restore(&done).value(), ckpt::kFresh);
      EXPECT_EQ(session.Step(1), ckpt::kSaved);
      EXPECT_EQ(session.Finish(true), 0);
      vector.clear();
      particles.assign(3, Particle());
      scalar = 0;
      static std::array<int, 6> elsewhere{};
      pointer = elsewhere.data();
      memory.assign(12, 0);
      generator.clear();
      continue;
    }
    EXPECT_EQ(session.Restore(&done).value(), ckpt::kRestored);
    EXPECT_EQ(done, 1);
    EXPECT_TRUE(session.left_over().empty());
  }
  EXPECT_EQ(vector.size(), 1000u);
  EXPECT_EQ(vector[999], 1000.f);
  EXPECT_EQ(particles.size(), 100u);
  EXPECT_EQ(particles[99].x, 99);
  EXPECT_EQ(scalar, 2.5);
  EXPECT_EQ(std::vector<int>(pointer, pointer + 6), (std::vector<int>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(memory, std::vector<double>(12, 7.0));
  EXPECT_EQ(generator, "17 4");
}

TEST(SessionApi, WhatThrowsInAFunctionIsAnErrorOfTheStep) {
  ckpt::TempDir tmp;
  auto session = ckpt::Session::Open(tmp / "run.ckpt", "all", EachStep()).value();
  bool fails = true;
  session
      .Protect(
          "rng",
          [&]() -> std::string {
            if (fails) throw std::runtime_error("no");
            return "yes";
          },
          [](const std::string&) {})
      .value();
  ckpt::Stepped step = session.Step(1);
  EXPECT_EQ(step, ckpt::kContinue);
  ASSERT_FALSE(step.ok());
  EXPECT_EQ(step.error().code(), CKPT_CANCELLED);
  fails = false;
  EXPECT_EQ(session.Step(2), ckpt::kSaved);
  EXPECT_TRUE(session.Commit().ok());
  EXPECT_EQ(session.Report().durable_step, 2);
}

TEST(SessionApi, AnotherTypeIsRefusedWithBothNamed) {
  ckpt::TempDir tmp;
  std::vector<double> doubles(10);
  std::vector<float> floats(10);
  {
    auto session = ckpt::Session::Open(tmp / "run.ckpt", "all", EachStep()).value();
    session.Protect("x", &doubles).value();
    session.Step(1);
  }
  auto session = ckpt::Session::Open(tmp / "run.ckpt", "all", EachStep()).value();
  session.Protect("x", &floats).value();
  std::int64_t done = 0;
  auto restored = session.Restore(&done);
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().code(), CKPT_INVALID_ARGUMENT);
  EXPECT_NE(restored.error().message().find("float64[10]"), std::string::npos);
  EXPECT_NE(restored.error().message().find("float32"), std::string::npos);
}

TEST(SessionApi, AnotherTypeIsConvertedWhenAskedFor) {
  ckpt::TempDir tmp;
  std::vector<double> doubles = {1, 2, 3};
  double scalar = 4;
  std::vector<std::int64_t> matrix = {5, 6};
  {
    auto session = ckpt::Session::Open(tmp / "run.ckpt", "all", EachStep()).value();
    session.Protect("x", &doubles).value();
    session.Protect("s", &scalar).value();
    session.Protect("m", matrix.data(), {2, 1}).value();
    session.Protect("p", matrix.data(), {2, 1}).value();
    session.Step(1);
  }
  std::vector<float> floats;
  std::int32_t whole = 0;
  std::vector<std::int16_t> fixed(2), pointed(2);
  std::int16_t* pointer = pointed.data();
  auto session = ckpt::Session::Open(tmp / "run.ckpt", "all", EachStep()).value();
  session.Protect("x", &floats, ckpt::kConvert).value();
  session.Protect("s", &whole, ckpt::kConvert).value();
  session.Protect("m", fixed.data(), {2, 1}, ckpt::kConvert).value();
  session.Protect("p", &pointer, {2, 1}, ckpt::kConvert).value();
  bool flag = false;
  EXPECT_FALSE(session.Protect("no", &flag, ckpt::kConvert).ok());
  std::int64_t done = 0;
  ASSERT_EQ(session.Restore(&done).value(), ckpt::kRestored);
  EXPECT_EQ(floats, (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(whole, 4);
  EXPECT_EQ(fixed, (std::vector<std::int16_t>{5, 6}));
  EXPECT_EQ(pointed, fixed);
  std::vector<std::uint8_t> bytes(3);
  session.Get("x", bytes.data(), bytes.size(), ckpt::kConvert).value();
  EXPECT_EQ(bytes, (std::vector<std::uint8_t>{1, 2, 3}));
  EXPECT_EQ(session.Get("x", bytes.data(), 2, ckpt::kConvert).error().code(),
            CKPT_INVALID_ARGUMENT);
}

TEST(SessionApi, AQuotaThatHasNoRoomIsNoSpace) {
  ckpt::TempDir tmp;
  std::vector<double> x(10);
  for (bool files : {false, true}) {
    ckpt::SessionOptions options = EachStep();
    (files ? options.quota_files : options.quota_bytes) = 5;
    auto session = ckpt::Session::Open(tmp / "run.ckpt", "all", options).value();
    session.Protect("x", &x).value();
    session.Step(1);
    auto committed = session.Commit();
    ASSERT_FALSE(committed);
    EXPECT_EQ(committed.error().code(), CKPT_NO_SPACE);
    const char* limit = files ? ", 5 files (" : ", 5 bytes (";
    EXPECT_NE(committed.error().message().find(limit), std::string::npos)
        << committed.error().message();
  }
}

TEST(SessionApi, NullsAndUnknownValuesAreRefused) {
  ckpt::TempDir tmp;
  ckpt_session* session = nullptr;
  EXPECT_EQ(ckpt_session_open(nullptr, "a", nullptr, &session), CKPT_INVALID_ARGUMENT);
  ckpt_session_options options = CKPT_SESSION_OPTIONS_INIT;
  options.durability = 17;
  EXPECT_EQ(ckpt_session_open((tmp / "s").c_str(), "a", &options, &session), CKPT_INVALID_ARGUMENT);
  options = CKPT_SESSION_OPTIONS_INIT;
  options.ranks = 2;
  EXPECT_EQ(ckpt_session_open((tmp / "s").c_str(), "a", &options, &session), CKPT_INVALID_ARGUMENT);
  EXPECT_EQ(ckpt_session_step(nullptr, 1, nullptr), CKPT_INVALID_ARGUMENT);
  EXPECT_EQ(ckpt_session_finish(nullptr, 1), 0);
  ckpt_session_close(nullptr);
}

// Wider than any ckpt_dtype: bytes of a known length.
__extension__ using Wide = __int128;

TEST(SessionApi, WideIntegersComeBackWhole) {
  ckpt::TempDir tmp;
  const Wide one = (static_cast<Wide>(7) << 64) | 9;
  std::vector<Wide> many(10, one);
  Wide single = one;
  for (bool saving : {true, false}) {
    auto session = ckpt::Session::Open(tmp / "run.ckpt", "wide", EachStep()).value();
    session.Protect("many", &many).value();
    session.Protect("single", &single).value();
    std::int64_t done = 0;
    (void)session.Restore(&done).value();
    if (!saving) break;
    EXPECT_EQ(session.Step(1), ckpt::kSaved);
    EXPECT_EQ(session.Finish(true), 0);
    many.clear();
    single = 0;
  }
  EXPECT_TRUE(many == std::vector<Wide>(10, one));
  EXPECT_TRUE(single == one);
}

TEST(SessionApi, ElementsOfAnotherSizeThanTheTypesAreRefused) {
  ckpt::TempDir tmp;
  auto session = ckpt::Session::Open(tmp / "run.ckpt", "a", EachStep()).value();
  const std::uint64_t shape[1] = {2};
  double data[4] = {};
  EXPECT_EQ(ckpt_session_protect(session.handle(), "x", data, CKPT_INT64, 16, 1, shape),
            CKPT_INVALID_ARGUMENT);
  EXPECT_EQ(ckpt_session_protect(session.handle(), "x", data, CKPT_INT64, 0, 1, shape), CKPT_OK);
}

TEST(SessionApi, GetChecksTheType) {
  ckpt::TempDir tmp;
  double data[4] = {1, 2, 3, 4};
  {
    auto session = ckpt::Session::Open(tmp / "run.ckpt", "a", EachStep()).value();
    session.Begin(1).value();
    session.Put("d", data, {4}).value();
    EXPECT_EQ(session.End(), ckpt::kSaved);
    EXPECT_EQ(session.Finish(true), 0);
  }
  auto session = ckpt::Session::Open(tmp / "run.ckpt", "a", EachStep()).value();
  std::int64_t done = 0, wrong[4] = {};
  ASSERT_EQ(session.Restore(&done).value(), ckpt::kRestored);
  EXPECT_FALSE(session.Get("d", wrong, 4).ok());
  EXPECT_TRUE(session.Get("d", data, 4).ok());
}

TEST(SessionApi, AnotherThreadsFinishIsRefusedAndHurtsNobody) {
  ckpt::TempDir tmp;
  auto session = ckpt::Session::Open(tmp / "run.ckpt", "a", EachStep()).value();
  int value = 1;
  session.Protect("v", &value).value();
  EXPECT_EQ(session.Step(1), ckpt::kSaved);
  std::thread([&] {
    EXPECT_EQ(ckpt_session_finish(session.handle(), 1), -1);
    EXPECT_EQ(session.Finish(true), 1);
  }).join();
  EXPECT_EQ(session.Step(2), ckpt::kSaved);
  EXPECT_EQ(session.Finish(true), 0);
}

TEST(SessionApi, TheOutcomeIsSetWhateverIsAnswered) {
  std::int32_t outcome = 77;
  EXPECT_NE(ckpt_session_step(nullptr, 1, &outcome), CKPT_OK);
  EXPECT_EQ(outcome, CKPT_STEP_CONTINUE);
  outcome = 77;
  EXPECT_NE(ckpt_session_end(nullptr, &outcome), CKPT_OK);
  EXPECT_EQ(outcome, CKPT_STEP_CONTINUE);
}

TEST(SessionApi, WhatLoadThrowsIsInTheError) {
  ckpt::TempDir tmp;
  for (bool saving : {true, false}) {
    auto session = ckpt::Session::Open(tmp / "run.ckpt", "a", EachStep()).value();
    session
        .Protect(
            "rng", [] { return std::string("1"); },
            [](const std::string&) { throw std::runtime_error("an old format"); })
        .value();
    if (saving) {
      EXPECT_EQ(session.Step(1), ckpt::kSaved);
      EXPECT_EQ(session.Finish(true), 0);
      continue;
    }
    std::int64_t done = 0;
    const auto restored = session.Restore(&done);
    ASSERT_FALSE(restored.ok());
    EXPECT_NE(restored.error().message().find("an old format"), std::string::npos)
        << restored.error().message();
  }
}

}  // namespace
