// Names that people and stores give us: of checkpoints, series, entries, packs; patterns.

#include <string>

#include "store/engine/checkpoint_name.h"
#include "store/engine/glob.h"
#include "store/io/entry_name.h"
#include "store/manifest/manifest.h"
#include "store/pack/format.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

std::string Text(ckpt::ByteSpan bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ckpt;  // NOLINT
  FuzzInput in(data, size);
  const std::string pattern = Text(in.Take(in.U8()));
  const std::string name = Text(in.Rest());
  (void)GlobMatches(pattern, name);
  (void)AnyGlobCovers({pattern}, name);
  if (ValidateEntryName(name).ok()) {
    // What may be created below a folder stays below it.
    FUZZ_CHECK(!name.empty() && name[0] != '/');
    const std::string framed = "/" + name + "/";
    FUZZ_CHECK(framed.find("/../") == std::string::npos);
    FUZZ_CHECK(framed.find("/./") == std::string::npos);
    FUZZ_CHECK(name.find('\0') == std::string::npos);
  }
  if (ValidateSeriesName(name).ok()) {
    FUZZ_CHECK(name.find('@') == std::string::npos && name.find('/') == std::string::npos);
  }
  if (auto parsed = ParseCheckpointName(name); parsed.ok()) {
    FUZZ_CHECK(ValidateSeriesName(parsed->series).ok());
  }
  Id128 id;
  if (ParsePackFileName(name, &id)) FUZZ_CHECK(PackFileName(id) == name);
  FUZZ_CHECK(ShownName(name).size() <= 4 * 120 + 16);
  return 0;
}
