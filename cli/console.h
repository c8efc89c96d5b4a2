// Everything a command says: results on standard output, the rest on standard error, as text or
// (--json) as JSON.
//
// Standard output: buffered; a write that fails makes the command fail (exit 1), except that a
// closed pipe ends it as SIGPIPE would. Standard error: notices, progress, errors, each error once;
// a failure to write there is nobody's business.
// Thread rule: one thread.

#ifndef CKPT_CLI_CONSOLE_H_
#define CKPT_CLI_CONSOLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "ckpt/ckpt.h"
#include "cli/options.h"
#include "cli/progress.h"

namespace ckpt {

class Console {
 public:
  // `command`: "save"; "" before it is known.
  Console(std::string command, const GlobalOptions& options);

  bool json() const { return options_.json; }
  const GlobalOptions& options() const { return options_; }

  // What was asked for.
  void Print(std::string_view text) { (void)WriteOutput(text.data(), text.size()); }
  // What --quiet leaves away: that it is done. Nothing with --json.
  void Say(std::string_view text);
  // False: standard output takes no more, stop.
  [[nodiscard]] bool WriteOutput(const void* data, std::size_t bytes);

  // One line that is no error: "created store run.ckpt".
  void Notice(std::string_view message);
  void Update(const ckpt_progress& progress);

  // Prints the error and answers the exit code. `suggestion`: a word that may have been meant;
  // `hint`: what to do, as a sentence.
  int Fail(ckpt_code code, std::string_view message, std::string_view suggestion = {},
           std::string_view hint = {});
  // A command that is not the store's cannot be run: prints that, answers `exit`.
  int FailToRun(const std::string& program, int error, int exit);
  // The library's last error.
  int Fail(ckpt_code code) { return Fail(code, ckpt_error_message()); }
  int FailUsage(std::string_view message, std::string_view suggestion = {});

  // Flushes standard output and takes the bar away; the exit code, which is `status` unless output
  // was lost.
  [[nodiscard]] int Finish(int status);

 private:
  int PrintError(std::string_view code, int exit, std::string_view message,
                 std::string_view suggestion, std::string_view hint);
  bool Flush();

  std::string command_;
  GlobalOptions options_;
  ProgressMeter progress_;
  std::string buffer_;
  int output_error_ = 0;  // errno of the first failed write to standard output
};

// Nonzero when the command was asked to stop: the answer of every callback.
int Interrupted();

}  // namespace ckpt

#endif  // CKPT_CLI_CONSOLE_H_
