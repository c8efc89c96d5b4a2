// Calls of the public session interface that a plain run does not need: what is given up, taken
// back, put under scopes, refused by shape or layout, and restored from damage.

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "tests/api/session_api_fixture.h"

namespace ckpt {
namespace {

class SessionCallsTest : public SessionApiTest {
 protected:
  // Flips a bit in the middle of `bytes`, wherever a pack has them as they are.
  void Damage(const std::string& bytes) {
    const std::string part = bytes.substr(bytes.size() / 2, 64);
    for (const auto& entry : std::filesystem::directory_iterator(store_path() + "/packs")) {
      const std::string pack = ReadWholeFile(entry.path());
      const std::size_t at = pack.find(part);
      if (at == std::string::npos) continue;
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(at));
      file.put(static_cast<char>(pack[at] ^ 1));
      return;
    }
    FAIL() << "no pack has these bytes";
  }
  // Names of what the newest checkpoint has.
  std::vector<std::string> Names() {
    Session s = Open();
    EXPECT_EQ(s.Restore(&done_).value(), kRestored);
    return s.left_over();
  }

  std::int64_t done_ = 0;
};

TEST_F(SessionCallsTest, AnAbortedSaveIsNoneAndTheNextOneIs) {
  int x = 7;
  {
    Session s = Open();
    s.Begin(1).value();
    s.Put("x", x).value();
    s.Abort().value();
    EXPECT_FALSE(s.Put("x", x).ok());
    s.Begin(1).value();
    s.Put("y", x).value();
    EXPECT_EQ(s.End(), kSaved);
    s.Begin(2).value();
    s.Put("x", x).value();
    s.Abort().value();
    EXPECT_EQ(s.Finish(true), 0);
  }
  EXPECT_EQ(Names(), std::vector<std::string>{"y"});
  EXPECT_EQ(done_, 1);
}

TEST_F(SessionCallsTest, WhatIsNoLongerProtectedIsNotSaved) {
  int a = 1, b = 2;
  {
    Session s = Open();
    s.Protect("a", &a).value();
    s.Protect("b", &b).value();
    EXPECT_EQ(s.Step(1), kSaved);
    s.Unprotect("b").value();
    ExpectRefused(s.Unprotect("b"), {"'b'"}, CKPT_NOT_FOUND);
    EXPECT_EQ(s.Step(2), kSaved);
    EXPECT_EQ(s.Finish(true), 0);
  }
  EXPECT_EQ(Names(), std::vector<std::string>{"a"});
}

TEST_F(SessionCallsTest, OneStepIsRestoredAndNoOther) {
  options_.keep_all = 1;
  int x = 0;
  {
    Session s = Open();
    s.Protect("x", &x).value();
    for (x = 1; x <= 3; ++x) EXPECT_EQ(s.Step(x), kSaved);
    EXPECT_EQ(s.Finish(true), 0);
  }
  x = 0;
  Session s = Open();
  s.Protect("x", &x).value();
  ExpectRefused(s.RestoreStep(7, &done_), {"no step 7"}, CKPT_NOT_FOUND);
  EXPECT_EQ(done_, 0);
  EXPECT_EQ(s.RestoreStep(2, &done_).value(), kRestored);
  EXPECT_EQ(done_, 2);
  EXPECT_EQ(x, 2);
}

TEST_F(SessionCallsTest, AnAttachedFileIsCutBack) {
  const std::string log = tmp_ / "log";
  int x = 0;
  for (const bool saving : {true, false}) {
    WriteFile(log, saving ? "saved\n" : "saved\nafter it\n");
    Session s = Open();
    s.Protect("x", &x).value();
    s.AttachFile(log).value();
    ExpectRefused(s.AttachFile(tmp_.path()), {});
    EXPECT_EQ(s.Restore(&done_).value(), saving ? kFresh : kRestored);
    if (!saving) break;
    EXPECT_EQ(s.Step(1), kSaved);
    EXPECT_EQ(s.Finish(true), 0);
  }
  EXPECT_EQ(ReadWholeFile(log), "saved\n");
}

TEST_F(SessionCallsTest, RawMemoryOfAnotherShapeIsRefusedWithBothNamed) {
  std::vector<double> memory(12);
  std::iota(memory.begin(), memory.end(), 1.0);
  double* pointer = memory.data();
  {
    Session s = Open();
    s.Protect("memory", memory.data(), {3, 4}).value();
    s.Protect("pointer", &pointer, {2, 3}).value();
    EXPECT_EQ(s.Step(1), kSaved);
    EXPECT_EQ(s.Finish(true), 0);
  }
  options_.lenient = 1;  // one at a time
  const std::vector<double> before(12, -1.0);
  memory = before;
  {
    Session s = Open();
    s.Protect("memory", memory.data(), {4, 3}).value();
    ExpectRefused(s.Restore(&done_), {"'memory'", "float64[3, 4]", "float64[4, 3]"});
  }
  {
    Session s = Open();
    s.Protect("pointer", &pointer, {6}).value();
    ExpectRefused(s.Restore(&done_), {"'pointer'", "float64[2, 3]", "float64[6]"});
  }
  EXPECT_EQ(memory, before);
}

struct Atom {
  double x, v;
};

TEST_F(SessionCallsTest, AnotherLayoutIsRefusedWithBothNamed) {
  std::vector<Atom> atoms(3);
  Atom first{1, 2};
  {
    Session s = Open();
    s.Protect("atoms", &atoms, Layout("x v")).value();
    s.Protect("first", &first, Layout("x v")).value();
    s.Protect("plain", &first).value();
    EXPECT_EQ(s.Step(1), kSaved);
    EXPECT_EQ(s.Finish(true), 0);
  }
  options_.lenient = 1;  // one at a time
  {
    Session s = Open();
    s.Protect("atoms", &atoms, Layout("v x")).value();
    ExpectRefused(s.Restore(&done_), {"'atoms'", "\"x v\"", "\"v x\""});
  }
  {
    Session s = Open();
    s.Protect("first", &first, Layout("v x")).value();
    ExpectRefused(s.Restore(&done_), {"'first'", "\"x v\"", "\"v x\""});
  }
  options_.lenient = 0;
  Session s = Open();
  s.Protect("plain", &first, Layout("x v")).value();
  ExpectRefused(s.Restore(&done_), {"'plain'", "without a layout"});
}

TEST_F(SessionCallsTest, ScopesKeepEqualNamesApart) {
  double fluid = 1, solid = 2, deep = 3, put = 4;
  {
    Session s = Open();
    s.Scope("fluid/").Protect("memory", &fluid).value();
    s.Scope("solid/").Protect("memory", &solid).value();
    s.Scope("solid/").Scope("core/").Protect("memory", &deep).value();
    EXPECT_EQ(s.Step(1), kSaved);
    s.Scope("fluid/").Unprotect("memory").value();
    EXPECT_EQ(s.Finish(true), 0);
  }
  EXPECT_EQ(Names(),
            (std::vector<std::string>{"fluid/memory", "solid/core/memory", "solid/memory"}));
  fluid = solid = deep = 0;
  {
    Session s = Open();
    s.Scope("fluid/").Protect("memory", &fluid).value();
    s.Scope("solid/").Protect("memory", &solid).value();
    EXPECT_EQ(s.Restore(&done_).value(), kRestored);
    s.Scope("solid/core/").Get("memory", &deep, 1).value();
    EXPECT_EQ(s.Scope("solid/").Query("core/memory").value().logical_bytes, 8u);
    s.Begin(2).value();
    s.Scope("gas/").Put("memory", put).value();
    EXPECT_EQ(s.End(), kSaved);
    EXPECT_EQ(s.Finish(true), 0);
  }
  EXPECT_EQ(fluid, 1);
  EXPECT_EQ(solid, 2);
  EXPECT_EQ(deep, 3);
  EXPECT_EQ(Names(), std::vector<std::string>{"gas/memory"});
}

// As a code does whose arrays are temporary copies: one buffer for all.
TEST_F(SessionCallsTest, WhatWasPutMayBeOverwrittenAtOnce) {
  const std::vector<std::size_t> sizes = {3, 8192, 100001};
  auto content = [](std::size_t size) {
    std::vector<double> x(size);
    std::iota(x.begin(), x.end(), static_cast<double>(size));
    return x;
  };
  {
    Session s = Open();
    s.Begin(1).value();
    for (const std::size_t size : sizes) {
      std::vector<double> buffer = content(size);
      s.Put("array " + std::to_string(size), buffer).value();
      std::memset(buffer.data(), 0xff, size * sizeof(double));
    }
    EXPECT_EQ(s.End(), kSaved);
    EXPECT_EQ(s.Finish(true), 0);
  }
  Session s = Open();
  EXPECT_EQ(s.Restore(&done_).value(), kRestored);
  for (const std::size_t size : sizes) {
    std::vector<double> back(size);
    s.Get("array " + std::to_string(size), back.data(), size).value();
    EXPECT_EQ(back, content(size)) << size;
  }
}

class SessionDamageTest : public SessionCallsTest {
 protected:
  SessionDamageTest() {
    options_.keep_all = 1;
    Session s = Open();
    int old = 1;
    std::string x = first_;
    s.Protect("old", &old).value();
    s.Protect("x", x.data(), {x.size()}).value();
    EXPECT_EQ(s.Step(1), kSaved);
    x = second_;
    EXPECT_EQ(s.Step(2), kSaved);
    EXPECT_EQ(s.Finish(true), 0);
  }

  const std::string first_ = RandomText(300000, 1);
  const std::string second_ = RandomText(300000, 2);
};

TEST_F(SessionDamageTest, AnOlderCheckpointIsTakenAndTheNewerNamed) {
  Damage(second_);
  options_.lenient = 1;
  std::string x(first_.size(), ' ');
  int added = 5;
  Session s = Open();
  s.Protect("x", x.data(), {x.size()}).value();
  s.Protect("new", &added).value();
  ckpt_session_restored restored = CKPT_SESSION_RESTORED_INIT;
  ASSERT_EQ(ckpt_session_restore(s.handle(), &restored), CKPT_OK) << ckpt_error_message();
  EXPECT_EQ(restored.restored, 1);
  EXPECT_EQ(restored.step, 1);
  EXPECT_EQ(restored.attempt, 1u);
  ASSERT_EQ(restored.passed_over_count, 1u);
  EXPECT_EQ(std::string(restored.passed_over[0]).find("run@1:2: "), 0u) << restored.passed_over[0];
  ASSERT_EQ(restored.missing_count, 1u);
  EXPECT_EQ(std::string(restored.missing[0]), "new");
  ASSERT_EQ(restored.left_over_count, 1u);
  EXPECT_EQ(std::string(restored.left_over[0]), "old");
  EXPECT_TRUE(x == first_);
  EXPECT_EQ(added, 5);
}

TEST_F(SessionDamageTest, ThePassedOverAreToldToTheCode) {
  Damage(second_);
  std::string x(first_.size(), ' ');
  Session s = Open();
  s.Protect("x", x.data(), {x.size()}).value();
  EXPECT_EQ(s.Restore(&done_).value(), kRestored);
  EXPECT_EQ(done_, 1);
  ASSERT_EQ(s.passed_over().size(), 1u);
  EXPECT_TRUE(Noticed(s.passed_over()[0]));
  EXPECT_TRUE(s.missing().empty());
  EXPECT_EQ(s.left_over(), std::vector<std::string>{"old"});
}

TEST_F(SessionDamageTest, WhereNoneIsSoundTheContentsAreSaidToBeUndefined) {
  Damage(first_);
  Damage(second_);
  std::string x(first_.size(), ' ');
  {
    Session s = Open();
    s.Protect("x", x.data(), {x.size()}).value();
    ExpectRefused(s.Restore(&done_), {"run@1:2", "undefined"}, CKPT_CORRUPTION);
    EXPECT_EQ(done_, 0);
  }
  // Nothing is protected, so nothing is.
  Session s = Open();
  EXPECT_EQ(s.Restore(&done_).value(), kRestored);
}

}  // namespace
}  // namespace ckpt
