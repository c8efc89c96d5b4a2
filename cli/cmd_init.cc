// ckpt-store init: creates a store.

#include <bit>

#include "cli/command.h"
#include "cli/effort_table.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/parse.h"
#include "cli/store_handle.h"
#include "cli/text.h"

namespace ckpt {
namespace {

constexpr std::uint64_t kChunkMost = std::uint64_t{4} << 20;
constexpr std::uint64_t kArrayChunkMost = std::uint64_t{16} << 20;

class InitCommand : public Command {
 public:
  void Define(CLI::App& app) override {
    AddParsed<std::uint64_t>(app, "--chunk-size", &chunk_bytes_, "SIZE", ParseSize,
                             "a size like 64K",
                             "Average chunk of files, a power of two (default 64K)");
    AddParsed<std::uint64_t>(app, "--array-chunk-size", &array_chunk_bytes_, "SIZE", ParseSize,
                             "a size like 64K", "Chunk of arrays (default 64K)");
    AddParsed<std::uint64_t>(app, "--level", &level_, "N", ParseCount, "a number",
                             "zstd level, 1 to 19 (default 3)");
    AddEffort(app, &effort_, "Of saves that do not say another: fast, balanced (default), small");
    AddParsed<std::uint64_t>(app, "--pack-size", &pack_bytes_, "SIZE", ParseSize,
                             "a size like 512M", "A pack is full beyond this (default 512M)");
    app.add_flag("--shared", shared_, "Readable and writable by its group");
  }

  int Run(Console& console) override {
    if (const std::string wrong = Wrong(); !wrong.empty()) return console.FailUsage(wrong);
    StoreHandle store(console);
    ckpt_open_options options = store.DefaultOptions(CKPT_OPEN_CREATE_NEW);
    options.chunk_bytes = static_cast<std::uint32_t>(chunk_bytes_);
    options.array_chunk_bytes = static_cast<std::uint32_t>(array_chunk_bytes_);
    options.level = static_cast<std::int32_t>(level_);
    options.pack_bytes = pack_bytes_;
    options.effort = effort_;
    options.group_shared = shared_ ? 1 : 0;
    if (const int status = store.Open(options); status != kExitDone) return status;
    ckpt_store_info info = CKPT_STORE_INFO_INIT;
    if (const ckpt_code code = ckpt_store_get_info(store.get(), &info); code != CKPT_OK) {
      return store.Fail(code);
    }
    Report(console, info);
    return kExitDone;
  }

 private:
  // What is out of range: said before anything is created, and 0 means "the default" only to the
  // library.
  std::string Wrong() const {
    if (!std::has_single_bit(chunk_bytes_) || chunk_bytes_ < 1024 || chunk_bytes_ > kChunkMost) {
      return "--chunk-size is a power of two from 1K to 4M";
    }
    if (array_chunk_bytes_ < 512 || array_chunk_bytes_ > kArrayChunkMost) {
      return "--array-chunk-size is 512 to 16M";
    }
    if (level_ < 1 || level_ > 19) return "--level is 1 to 19";
    if (pack_bytes_ == 0) return "--pack-size is above 0";
    return "";
  }

  static void Report(Console& console, const ckpt_store_info& info) {
    if (console.json()) {
      Json json = Json::object();
      SetText(json, "store", info.path);
      json["uuid"] = info.uuid;
      json["format"] = info.format;
      json["chunk_bytes"] = info.chunk_bytes;
      json["array_chunk_bytes"] = info.array_chunk_bytes;
      json["level"] = info.level;
      json["effort"] = ckpt_effort_name(info.effort);
      console.Print(JsonDocument(json));
      return;
    }
    console.Say("created store " + PrintableName(info.path) + ": format " +
                std::to_string(info.format) + ", chunks of " + HumanBytes(info.chunk_bytes) +
                " (arrays " + HumanBytes(info.array_chunk_bytes) + "), zstd level " +
                std::to_string(info.level) + ", effort " + ckpt_effort_name(info.effort) + "\n");
  }

  std::uint64_t chunk_bytes_ = 65536;
  std::uint64_t array_chunk_bytes_ = 65536;
  std::uint64_t level_ = 3;
  std::int32_t effort_ = CKPT_EFFORT_DEFAULT;
  std::uint64_t pack_bytes_ = std::uint64_t{512} << 20;
  bool shared_ = false;
};

}  // namespace

const CommandInfo kInitCommand = {"init", "Create a store",
                                  "ckpt-store init -s run.ckpt\n"
                                  "ckpt-store init -s run.ckpt --chunk-size 16K --level 9\n",
                                  [] { return std::unique_ptr<Command>(new InitCommand); }};

}  // namespace ckpt
