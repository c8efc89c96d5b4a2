// What the tests of sessions share: a store in a temporary folder, sessions that say nothing and
// save at each step, and child processes that are killed.

#ifndef CKPT_TESTS_SESSION_SESSION_FIXTURE_H_
#define CKPT_TESTS_SESSION_SESSION_FIXTURE_H_

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "store/engine/collect.h"
#include "store/session/session.h"
#include "tests/support/child.h"
#include "tests/support/temp_dir.h"

namespace ckpt {

#define ASSERT_OK(expression)                \
  do {                                       \
    const Status ok_ = (expression);         \
    ASSERT_TRUE(ok_.ok()) << ok_.ToString(); \
  } while (false)
#define EXPECT_OK(expression)                \
  do {                                       \
    const Status ok_ = (expression);         \
    EXPECT_TRUE(ok_.ok()) << ok_.ToString(); \
  } while (false)

inline ArrayShape DoubleShape(std::size_t count) {
  ArrayShape shape;
  shape.dtype = Dtype::kFloat64;
  shape.element_bytes = 8;
  shape.shape = {count};
  return shape;
}

// A vector of doubles, resized at restore.
inline ProtectedItem VectorItem(const std::string& name, std::vector<double>* data) {
  ProtectedItem item;
  item.name = name;
  item.locate = [data]() -> Result<ArrayView> {
    return ArrayView{std::as_bytes(std::span(*data)), DoubleShape(data->size())};
  };
  item.accepts = [name](const ArrayShape& saved) {
    bool fits = saved.dtype == Dtype::kFloat64 && saved.shape.size() == 1;
    return fits ? Status() : RefuseShape(name, saved, DoubleShape(0));
  };
  item.prepare = [data](const ArrayShape& saved) -> Result<MutableByteSpan> {
    data->resize(saved.shape[0]);
    return std::as_writable_bytes(std::span(*data));
  };
  return item;
}

inline ProtectedItem StreamItem(const std::string& name, std::string* text) {
  ProtectedItem item;
  item.name = name;
  item.save = [text]() -> Result<Bytes> {
    ByteSpan bytes = AsBytes(*text);
    return Bytes(bytes.begin(), bytes.end());
  };
  item.load = [text](ByteSpan bytes) {
    *text = std::string(AsText(bytes));
    return Status();
  };
  return item;
}

inline std::vector<double> Numbers(std::size_t count, std::uint64_t seed) {
  std::string bytes = RandomText(count * 2, seed);
  std::vector<double> numbers(count);
  for (std::size_t i = 0; i < count; ++i) {
    numbers[i] = static_cast<double>(static_cast<unsigned char>(bytes[2 * i])) +
                 static_cast<double>(static_cast<unsigned char>(bytes[2 * i + 1])) * 1e-3;
  }
  return numbers;
}

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() {
    options_.every_steps = 1;
    options_.notice = [this](const std::string& text) {
      std::lock_guard lock(notices_mutex_);
      notices_.push_back(text);
    };
    options_.series_wait_ms = 0;
  }

  std::string store_path() const { return tmp_ / "store"; }
  std::unique_ptr<Session> Open(SessionProbe probe = {}) {
    auto session = Session::Open(PosixEnv(), store_path(), "run", options_, std::move(probe));
    EXPECT_TRUE(session.ok()) << session.status().ToString();
    return session.ok() ? *std::move(session) : nullptr;
  }
  bool Noticed(const std::string& part) {
    std::lock_guard lock(notices_mutex_);
    for (const std::string& text : notices_) {
      if (text.find(part) != std::string::npos) return true;
    }
    return false;
  }

  // Restores into *data and answers the step; -1: nothing was there.
  std::int64_t RestoredStep(std::vector<double>* data) {
    auto session = Open();
    if (session == nullptr) return -2;
    EXPECT_OK(session->Protect(VectorItem("x", data)));
    auto restored = session->Restore();
    EXPECT_TRUE(restored.ok()) << restored.status().ToString();
    return restored.ok() && restored->restored ? restored->step : -1;
  }

  // As `ckpt-store gc` does.
  void Collect() const {
    auto store = Store::Open(PosixEnv(), store_path(), {});
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    auto collector = Collector::Open(store->get(), {});
    ASSERT_TRUE(collector.ok()) << collector.status().ToString();
    Collected collected;
    ASSERT_OK((*collector)->Run({}, &collected));
  }

  TempDir tmp_;
  SessionOptions options_;
  std::mutex notices_mutex_;
  std::vector<std::string> notices_;
};

}  // namespace ckpt

#endif  // CKPT_TESTS_SESSION_SESSION_FIXTURE_H_
