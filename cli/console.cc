#include "cli/console.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/signals.h"
#include "cli/text.h"

namespace ckpt {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{64} << 10;

// 0 or errno.
int WriteAll(int fd, const char* data, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t written = write(fd, data, bytes);
    if (written >= 0) {
      data += written;
      bytes -= static_cast<std::size_t>(written);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      // Somebody made the descriptor we share with them nonblocking.
      pollfd ready{fd, POLLOUT, 0};
      (void)poll(&ready, 1, 1000);
      if (InterruptSignal() != 0) return EINTR;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

void WriteError(std::string_view text) { (void)WriteAll(STDERR_FILENO, text.data(), text.size()); }

std::size_t TerminalColumns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

ProgressMeter::Options ProgressOptions(const GlobalOptions& options) {
  ProgressMeter::Options out;
  out.mode = options.progress;
  // Standard error is a stream of JSON documents then, unless somebody asks for both.
  if (options.quiet || (options.json && out.mode == ProgressMode::kAuto)) {
    out.mode = ProgressMode::kNever;
  }
  const char* term = getenv("TERM");
  out.terminal = isatty(STDERR_FILENO) == 1 && (term == nullptr || strcmp(term, "dumb") != 0);
  out.write = WriteError;
  out.columns = TerminalColumns;
  return out;
}

std::int64_t NowNs() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

}  // namespace

int Interrupted() { return InterruptSignal() != 0 ? 1 : 0; }

Console::Console(std::string command, const GlobalOptions& options)
    : command_(std::move(command)), options_(options), progress_(ProgressOptions(options)) {}

void Console::Say(std::string_view text) {
  if (!options_.quiet && !options_.json) Print(text);
}

bool Console::WriteOutput(const void* data, std::size_t bytes) {
  if (output_error_ != 0) return false;
  if (buffer_.empty()) progress_.Clear();
  if (bytes >= kBufferBytes) {
    if (!Flush()) return false;
    output_error_ = WriteAll(STDOUT_FILENO, static_cast<const char*>(data), bytes);
    return output_error_ == 0;
  }
  buffer_.append(static_cast<const char*>(data), bytes);
  return buffer_.size() < kBufferBytes || Flush();
}

bool Console::Flush() {
  if (output_error_ == 0) output_error_ = WriteAll(STDOUT_FILENO, buffer_.data(), buffer_.size());
  buffer_.clear();
  return output_error_ == 0;
}

void Console::Notice(std::string_view message) {
  if (options_.quiet) return;
  progress_.Clear();
  if (options_.json) {
    WriteError(JsonLine({{"notice", {{"message", ReplaceInvalidUtf8(message)}}}}));
  } else {
    WriteError("ckpt-store: " + PrintableMessage(message) + "\n");
  }
}

void Console::Update(const ckpt_progress& progress) { progress_.Update(progress, NowNs()); }

int Console::PrintError(std::string_view code, int exit, std::string_view message,
                        std::string_view suggestion, std::string_view hint) {
  progress_.Clear();
  if (options_.json) {
    Json error = {{"code", code}};
    SetText(error, "message", message);
    error["exit"] = exit;
    if (!suggestion.empty()) SetText(error, "suggestion", suggestion);
    if (!hint.empty()) SetText(error, "hint", hint);
    WriteError(JsonLine({{"error", error}}));
    return exit;
  }
  const std::string prefix = "ckpt-store" + (command_.empty() ? "" : " " + command_) + ": ";
  std::string text = prefix + PrintableMessage(message) + "\n";
  if (!suggestion.empty()) text += "did you mean '" + PrintableName(suggestion) + "'?\n";
  if (!hint.empty()) text += PrintableMessage(hint) + "\n";
  WriteError(text);
  return exit;
}

int Console::Fail(ckpt_code code, std::string_view message, std::string_view suggestion,
                  std::string_view hint) {
  if (code == CKPT_CANCELLED && output_error_ != 0) return kExitFailed;  // Finish says why
  if (code == CKPT_CANCELLED && InterruptSignal() != 0) {
    const int signal = InterruptSignal();
    const std::string text = "stopped by " + SignalText(signal);
    return PrintError(ckpt_code_name(code), kExitSignal + signal, text, {}, {});
  }
  return PrintError(ckpt_code_name(code), ExitCode(code), message, suggestion, hint);
}

int Console::FailToRun(const std::string& program, int error, int exit) {
  return PrintError(ckpt_code_name(CKPT_IO), exit,
                    "cannot run '" + program + "': " + strerror(error), {}, {});
}

int Console::FailUsage(std::string_view message, std::string_view suggestion) {
  const std::string hint =
      "try 'ckpt-store" + (command_.empty() ? "" : " " + command_) + " --help'";
  return PrintError("usage", kExitUsage, message, suggestion, hint);
}

int Console::Finish(int status) {
  progress_.Finish();
  if (Flush()) return status;
  if (output_error_ == EPIPE && !PipeSignalWasIgnored()) return kExitSignal + SIGPIPE;
  if (output_error_ == EINTR) return kExitSignal + InterruptSignal();
  const std::string reason = strerror(output_error_);
  return PrintError("io", kExitFailed, "cannot write to standard output: " + reason, {}, {});
}

}  // namespace ckpt
