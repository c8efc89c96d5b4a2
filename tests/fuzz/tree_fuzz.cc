// Whole trees over nodes that somebody made up: circles, trees too deep, the same node everywhere.
// A visit ends, and asks for no more than its trees can have.

#include <map>

#include "store/manifest/tree.h"
#include "tests/fuzz/fuzz_input.h"

namespace ckpt {
namespace {

constexpr int kFetchesMax = 2000;

// Answers every id with one of the given nodes.
class MadeUpChunks : public ChunkSource {
 public:
  explicit MadeUpChunks(FuzzInput* in) {
    while (!in->empty() && nodes_.size() < 8) {
      ByteSpan bytes = in->Take(in->U16());
      nodes_.emplace_back(bytes.begin(), bytes.end());
    }
  }
  Result<Bytes> GetNode(const Id128& id, std::uint32_t raw_bytes) override {
    if (++fetches_ > kFetchesMax) return Corruption("enough");
    if (nodes_.empty()) return Corruption("no node");
    Bytes node = nodes_[id.bytes[0] % nodes_.size()];
    node.resize(std::min<std::size_t>(raw_bytes, 1u << 20));
    return node;
  }

 private:
  std::vector<Bytes> nodes_;
  int fetches_ = 0;
};

}  // namespace
}  // namespace ckpt

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ckpt;  // NOLINT
  FuzzInput in(data, size);
  const bool list = in.U8() % 2 == 0;
  ByteReader reader(in.Take(in.U8()));
  const TreeRef tree = DecodeTreeRef(&reader);
  if (!reader.ok() || !CheckTreeRef(tree).ok()) return 0;
  MadeUpChunks chunks(&in);
  std::uint64_t visited = 0;
  auto visit = [&](const Id128&, std::uint64_t, bool) -> Result<bool> {
    if (++visited > 1'000'000) return Corruption("enough");
    return true;
  };
  (void)(list ? VisitChunkList(tree, &chunks, visit) : VisitEntryTable(tree, &chunks, visit));
  return 0;
}
