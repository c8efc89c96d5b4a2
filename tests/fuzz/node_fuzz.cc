// Nodes of chunk lists and entry tables.

#include "store/manifest/node.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ckpt;  // NOLINT
  FuzzInput in(data, size);
  const auto kind = in.U8() % 2 == 0 ? TreeKind::kChunkList : TreeKind::kEntryTable;
  const int level = in.U8() % 8;
  auto node = DecodeNode(kind, level, in.Rest());
  if (!node.ok()) return 0;
  FUZZ_CHECK(node->size() <= kNodeItemsMax);
  FUZZ_CHECK(node->level == level);
  for (std::size_t i = 1; i < node->entries.size(); ++i) {
    FUZZ_CHECK(node->entries[i - 1].name < node->entries[i].name);
  }
  return 0;
}
