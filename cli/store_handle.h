// A store that a command has open: where it is, opened with the global options, its notices and
// progress on the console, and errors that name what may have been meant.
// Thread rule: one thread. The console must outlive it.

#ifndef CKPT_CLI_STORE_HANDLE_H_
#define CKPT_CLI_STORE_HANDLE_H_

#include <string>
#include <string_view>
#include <vector>

#include "ckpt/ckpt.h"
#include "cli/console.h"

namespace ckpt {

// -s/--store, else $CKPT_STORE, else .ckpt.
std::string StorePath(const GlobalOptions& options);

class StoreHandle {
 public:
  explicit StoreHandle(Console& console) : console_(console) {}
  ~StoreHandle() { ckpt_store_close(store_); }
  StoreHandle(const StoreHandle&) = delete;
  StoreHandle& operator=(const StoreHandle&) = delete;

  // CKPT_OPEN_OPTIONS_INIT, the global options, the console as receiver of notices and progress.
  ckpt_open_options DefaultOptions(ckpt_open_mode mode) const;

  // The exit code: kExitDone, or that of the error it printed.
  [[nodiscard]] int Open(ckpt_open_mode mode) { return Open(DefaultOptions(mode)); }
  [[nodiscard]] int Open(const ckpt_open_options& options);

  ckpt_store* get() const { return store_; }

  // Prints the library's last error, of a call about `checkpoints` ("SERIES..."): when the series
  // of one is not there, with the nearest one that is. Answers the exit code.
  // REQUIRES: no call of the library between.
  int Fail(ckpt_code code, const std::vector<std::string>& checkpoints = {});
  // The nearest name to the first of `checkpoints` whose series is not there; else "".
  std::string SeriesSuggestion(const std::vector<std::string>& checkpoints) const;

 private:
  std::vector<std::string> SeriesNames() const;

  Console& console_;
  ckpt_store* store_ = nullptr;
};

// For the C interface's arrays of strings; lives as long as `strings`.
std::vector<const char*> Pointers(const std::vector<std::string>& strings);

}  // namespace ckpt

#endif  // CKPT_CLI_STORE_HANDLE_H_
