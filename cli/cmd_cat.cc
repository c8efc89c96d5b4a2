// ckpt-store cat: an entry's bytes to standard output, arrays as .npy if asked for.

#include <unistd.h>

#include <limits>

#include "cli/command.h"
#include "cli/entry_text.h"
#include "cli/exit_codes.h"
#include "cli/parse.h"
#include "cli/spelling.h"
#include "cli/store_handle.h"

namespace ckpt {
namespace {

class CatCommand : public Command {
 public:
  void Define(CLI::App& app) override {
    AddText(app, "CHECKPOINT", &checkpoint_, "", "SERIES, SERIES@STEP or SERIES@ATTEMPT:STEP")
        ->required();
    AddText(app, "ENTRY", &entry_, "", "The entry's name, as inspect shows it")->required();
    app.add_flag("--npy", npy_, "An array as a .npy file, which numpy.load reads");
    AddParsed<std::uint64_t>(app, "--offset", &offset_, "BYTES", ParseSize, "a number of bytes",
                             "Begin here");
    AddParsed<std::uint64_t>(app, "--length", &length_bytes_, "BYTES", ParseSize,
                             "a number of bytes", "At most so many bytes");
  }

  int Run(Console& console) override {
    const bool part = offset_ != 0 || length_bytes_ != kAll;
    if (npy_ && part)
      return console.FailUsage("--npy gives the whole array: no --offset, --length");
    StoreHandle store(console);
    if (const int status = store.Open(CKPT_OPEN_READ); status != kExitDone) return status;
    if (npy_) {
      if (const int status = PrintHeader(console, store); status != kExitDone) return status;
    }
    const ckpt_code code = ckpt_cat(store.get(), checkpoint_.c_str(), entry_.c_str(), offset_,
                                    length_bytes_, OnBytes, &console);
    return code == CKPT_OK ? kExitDone : Fail(console, store, code);
  }

 private:
  static constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();

  static int OnBytes(const void* data, std::size_t bytes, void* user) {
    return static_cast<Console*>(user)->WriteOutput(data, bytes) ? Interrupted() : 1;
  }

  static int OnCheckpoint(const ckpt_checkpoint* checkpoint, void* user) {
    *static_cast<std::string*>(user) = FullName(*checkpoint);
    return 0;
  }

  static int OnName(const ckpt_entry* entry, void* user) {
    static_cast<std::vector<std::string>*>(user)->emplace_back(entry->name);
    return Interrupted();
  }

  int PrintHeader(Console& console, StoreHandle& store) {
    ckpt_reader* reader = nullptr;
    ckpt_code code = ckpt_read(store.get(), checkpoint_.c_str(), &reader);
    if (code != CKPT_OK) return Fail(console, store, code);
    // From here on the very checkpoint the header is of: a newer one may appear meanwhile.
    code = ckpt_reader_info(reader, OnCheckpoint, &checkpoint_);
    ckpt_entry entry = {};
    if (code == CKPT_OK) code = ckpt_query(reader, entry_.c_str(), &entry);
    int status = kExitDone;
    if (code != CKPT_OK) {
      status = Fail(console, store, code);
    } else if (entry.kind != CKPT_ENTRY_ARRAY) {
      status = console.Fail(CKPT_INVALID_ARGUMENT,
                            "'" + entry_ + "' is a " + KindName(entry.kind) + ", not an array");
    } else if (const auto header = NpyHeader(entry); header) {
      console.Print(*header);
    } else {
      status =
          console.Fail(CKPT_UNSUPPORTED, "'" + entry_ + "' has a type this version does not know");
    }
    ckpt_reader_close(reader);
    return status;
  }

  // An entry that is not there: with the nearest name that is.
  int Fail(Console& console, StoreHandle& store, ckpt_code code) const {
    if (code != CKPT_NOT_FOUND) return store.Fail(code);
    const std::string message = ckpt_error_message();
    std::vector<std::string> names;
    const bool found =
        ckpt_inspect(store.get(), checkpoint_.c_str(), nullptr, OnName, nullptr, &names) == CKPT_OK;
    if (found) return console.Fail(code, message, Suggestion(entry_, names));
    return console.Fail(code, message, store.SeriesSuggestion({checkpoint_}));
  }

  std::string checkpoint_;
  std::string entry_;
  bool npy_ = false;
  std::uint64_t offset_ = 0;
  std::uint64_t length_bytes_ = kAll;
};

}  // namespace

const CommandInfo kCatCommand = {"cat", "Write an entry's bytes to standard output",
                                 "ckpt-store cat melt@5000 log.lammps | tail\n"
                                 "ckpt-store cat heat temperature --npy > temperature.npy\n",
                                 [] { return std::unique_ptr<Command>(new CatCommand); }};

}  // namespace ckpt
