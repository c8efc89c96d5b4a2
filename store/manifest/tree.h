// Chunk lists and entry tables: trees of nodes stored as chunks (docs/format.md, "Nodes").
//
// Builders take items in order and hand finished nodes to a ChunkSink; readers fetch nodes through
// a ChunkSource. Neither knows packs or indexes. Equal content gives equal nodes, so two
// checkpoints share every subtree that did not change, and a difference costs what changed. Keeps
// I8: node sizes, levels (at most 8, so a cycle ends), counts and names are bounded. Thread rule:
// one thread an object.

#ifndef CKPT_STORE_MANIFEST_TREE_H_
#define CKPT_STORE_MANIFEST_TREE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/base/bytes.h"
#include "store/base/status.h"

namespace ckpt {

constexpr std::size_t kInlineBytesMax = 240;
constexpr std::uint32_t kNodeBytesMax = 1u << 20;
constexpr int kTreeLevelsMax = 8;

// Stores a chunk's raw bytes (a node) and answers its id; equal bytes give the equal id.
class ChunkSink {
 public:
  virtual ~ChunkSink() = default;
  virtual Result<Id128> PutNode(ByteSpan raw) = 0;
};

// Fetches a chunk's raw bytes, verified against the id.
class ChunkSource {
 public:
  virtual ~ChunkSource() = default;
  // `raw_bytes` as the parent says; a chunk of another size is Corruption.
  virtual Result<Bytes> GetNode(const Id128& id, std::uint32_t raw_bytes) = 0;
};

// A root: empty, a small node held here, or a node stored as a chunk.
struct NodeRef {
  enum class How : std::uint8_t { kEmpty = 0, kHere = 1, kChunk = 2 };
  How how = How::kEmpty;
  Bytes here;                   // kHere: the node, at most kInlineBytesMax
  Id128 id;                     // kChunk
  std::uint32_t raw_bytes = 0;  // kChunk
  bool operator==(const NodeRef&) const = default;
};
struct TreeRef {
  std::uint8_t level = 0;  // of the root node
  NodeRef root;
  bool operator==(const TreeRef&) const = default;
};
// InvalidArgument when the reference is outside the format's limits.
Status CheckTreeRef(const TreeRef& tree);
// REQUIRES: CheckTreeRef(tree) is ok (what a builder's Finish answered always is).
void EncodeTreeRef(const TreeRef& tree, ByteWriter* out);
// Fails the reader when out of bounds.
TreeRef DecodeTreeRef(ByteReader* in);

// ---- chunk lists ----------------------------------------------------------------------------

struct ChunkItem {
  enum class Kind : std::uint8_t { kChunk = 0, kInline = 1, kHole = 2 };
  Kind kind = Kind::kChunk;
  std::uint64_t raw_bytes = 0;
  Id128 id;            // kChunk
  Bytes inline_bytes;  // kInline
};

enum class FanOut : std::uint8_t { kFixed, kContentDefined };

class ChunkListBuilder {
 public:
  ChunkListBuilder(FanOut fan_out, ChunkSink* sink);
  ~ChunkListBuilder();
  // InvalidArgument for an item outside the limits: a chunk must have more than kInlineBytesMax
  // bytes (smaller ones are inline), an inline item as many as it says, a hole at least one.
  Status Add(ChunkItem item);
  // After the last item. A list without items gives an empty tree.
  Result<TreeRef> Finish();
  std::uint64_t chunks() const;  // of kind kChunk added so far
  std::uint64_t logical_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Items in order, nodes fetched as they are needed (one node a level in memory).
class ChunkListReader {
 public:
  ChunkListReader(TreeRef tree, ChunkSource* source);
  ~ChunkListReader();
  // Nullopt at the end. After an error the position is unchanged: the same node is tried again.
  Result<std::optional<ChunkItem>> Next();
  // Positions before the item that holds content byte `offset`, skipping subtrees; answers the
  // content offset of that item's first byte. At or beyond the end of the content: positions at the
  // end and answers the content's length.
  Result<std::uint64_t> Seek(std::uint64_t offset);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Calls fn, in order, for each piece of `after`'s content that `before` has not: by_place, not at
// that offset; otherwise (content that may move) nowhere. Inline items and holes are compared by
// place. Nodes that both lists have are not fetched, so without by_place a chunk whose only copies
// in `before` are in such nodes counts as new. Memory: 16 bytes for each chunk of `before` in the
// nodes that differ. Both sources may be the same.
using ListDiffVisitor = std::function<void(std::uint64_t offset, std::uint64_t length_bytes)>;
Status DiffChunkLists(const TreeRef& before, ChunkSource* before_source, const TreeRef& after,
                      ChunkSource* after_source, bool by_place, const ListDiffVisitor& fn);

// ---- entry tables ---------------------------------------------------------------------------

enum class EntryKind : std::uint8_t {
  kFile = 0,
  kDirectory = 1,
  kSymlink = 2,
  kHardLink = 3,
  kArray = 4,
  kStream = 5,
};

// Element types; numbers are on disk and in ckpt.h.
enum class Dtype : std::uint8_t {
  kInt8 = 1,
  kInt16,
  kInt32,
  kInt64,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kFloat16,
  kBfloat16,
  kFloat32,
  kFloat64,
  kFloat80,
  kFloat128,
  kComplex64,
  kComplex128,
  kBool,
  kString,
  kRecord,
  kBytes,
};

inline constexpr std::size_t kDimensionsMax = 32;

struct ArrayShape {
  Dtype dtype = Dtype::kBytes;
  bool column_major = false;
  std::uint32_t element_bytes = 1;
  std::vector<std::uint64_t> shape;         // at most 32 dimensions
  std::vector<std::uint64_t> global_shape;  // empty, or as many as shape
  std::vector<std::uint64_t> global_offset;
  bool operator==(const ArrayShape&) const = default;
};

struct Entry {
  EntryKind kind = EntryKind::kFile;
  std::string name;
  std::uint64_t logical_bytes = 0;
  std::uint64_t chunks = 0;
  bool trusted_stat = false;
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::string target;
  std::vector<std::pair<std::string, std::string>> xattrs;
  ArrayShape array;
  TreeRef content;
  bool operator==(const Entry&) const = default;
};

class EntryTableBuilder {
 public:
  explicit EntryTableBuilder(ChunkSink* sink);
  ~EntryTableBuilder();
  // REQUIRES: names strictly ascending as bytes (InvalidArgument otherwise: a caller's list may
  // hold a name twice). InvalidArgument too when a field is outside the format's limits or does not
  // belong to the entry's kind.
  Status Add(const Entry& entry);
  Result<TreeRef> Finish();
  std::uint64_t entries() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class EntryTableReader {
 public:
  EntryTableReader(TreeRef tree, ChunkSource* source);
  ~EntryTableReader();
  Result<std::optional<Entry>> Next();
  // The entry of that name, by bisection through the nodes; nullopt when there is none. Does not
  // disturb Next(). Keeps the path of the last call, so ascending names fetch each node once.
  Result<std::optional<Entry>> Find(std::string_view name);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Calls fn, in order of names, for each name that is in only one table or differs; subtrees with
// equal ids are skipped without being fetched, also when the tables have different heights. Either
// pointer may be null, never both. Both sources may be the same.
using EntryDiffVisitor = std::function<Status(const Entry* before, const Entry* after)>;
Status DiffEntryTables(const TreeRef& before, ChunkSource* before_source, const TreeRef& after,
                       ChunkSource* after_source, const EntryDiffVisitor& fn);

// Visits every chunk reachable from a tree: inner and leaf nodes as well as content chunks, without
// holding a list of them. fn(id, raw_bytes, is_node) answers whether to descend into a node (false:
// seen before). For entry tables, the chunk lists of the entries are visited too.
using ChunkVisitor =
    std::function<Result<bool>(const Id128& id, std::uint64_t raw_bytes, bool is_node)>;
Status VisitChunkList(const TreeRef& tree, ChunkSource* source, const ChunkVisitor& fn);
// `on_entry` is told of each entry in the nodes that are descended into.
Status VisitEntryTable(const TreeRef& tree, ChunkSource* source, const ChunkVisitor& fn,
                       const std::function<void(const Entry&)>& on_entry = nullptr);

}  // namespace ckpt

#endif  // CKPT_STORE_MANIFEST_TREE_H_
