// What operations.cc and fixtures.cc share: calls of the library's, whose system calls count (the
// tests' own do not), and bytes that follow from a step.
// Thread rule: one thread.

#ifndef CKPT_TESTS_FAULTS_CALLS_H_
#define CKPT_TESTS_FAULTS_CALLS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "ckpt/ckpt.h"
#include "tests/faults/fault_points.h"
#include "tests/faults/operations.h"

namespace ckpt::faults {

inline constexpr std::size_t kNumbers = 20000;
// What stays as it is from one step to the next: more than the reserve has room for.
inline constexpr std::size_t kBulkBytes = 2000000;

#define CKPT_CALL(...) Ok([&] { return __VA_ARGS__; })

// The first failure of several calls.
class Calls {
 public:
  template <typename Call>
  bool Ok(const Call& call) {
    ckpt_code code = CKPT_OK;
    {
      TestsOwn library(false);
      code = call();
    }
    if (code == CKPT_OK) return true;
    if (outcome_.code == CKPT_OK) outcome_ = {code, ckpt_error_message()};
    return false;
  }
  Outcome outcome() const { return outcome_; }

 private:
  Outcome outcome_;
};

// A store that is open as long as this is.
class OpenStore {
 public:
  OpenStore(Calls* calls, const std::string& path, int mode) {
    ckpt_open_options options = CKPT_OPEN_OPTIONS_INIT;
    options.mode = mode;
    options.threads = 1;
    options.pack_bytes = 8 << 20;
    options.progress = [](const ckpt_progress*, void*) {
      return Hit(Site::kReports, "progress") ? 1 : 0;
    };
    if (!calls->CKPT_CALL(ckpt_store_open(path.c_str(), &options, &store_))) store_ = nullptr;
  }
  ~OpenStore() {
    TestsOwn library(false);
    ckpt_store_close(store_);
  }
  OpenStore(const OpenStore&) = delete;
  OpenStore& operator=(const OpenStore&) = delete;
  explicit operator bool() const { return store_ != nullptr; }
  ckpt_store* get() const { return store_; }

 private:
  ckpt_store* store_ = nullptr;
};

// A quarter of it is the step's own.
const std::string& BytesOf(std::int64_t step, std::size_t bytes);
std::vector<double> NumbersOf(std::int64_t step);
// The files that are saved into a store, beside it.
std::string DataOf(const std::string& store);
void WriteData(const std::string& data, std::int64_t step);
void WriteFile(const std::string& path, const std::string& bytes);
std::string ReadFile(const std::string& path);

// As the operations of these names.
Outcome SaveStep(const std::string& path, std::int64_t step, int mode = CKPT_OPEN_CREATE);
Outcome Remove(const std::string& path);
Outcome Collect(const std::string& path, std::uint64_t keep_last, double live_share);
Outcome CollectAll(const std::string& path);
Outcome Reindex(const std::string& path);
Outcome Check(const std::string& path);
Outcome Repair(const std::string& path);
Outcome RunSession(const std::string& path, int change_detection = CKPT_DETECT_HASH);
Outcome RestoreNewest(const std::string& path, bool sync, bool force = false);
// Appends what is damaged to the std::string that `user` is.
int NoteDamage(const ckpt_damage* found, void* user);

}  // namespace ckpt::faults

#endif  // CKPT_TESTS_FAULTS_CALLS_H_
