#include "store/engine/array_io.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "store/engine/convert.h"
#include "store/engine/verify.h"

namespace ckpt {
namespace {

constexpr std::uint64_t kArrayBytesMax = INT64_MAX;

struct DtypeInfo {
  const char* name;
  std::uint32_t element_bytes;  // 0: as the caller says
};
// By number, from 1.
constexpr std::array<DtypeInfo, 20> kDtypes{{
    {"int8", 1},        {"int16", 2},   {"int32", 4},    {"int64", 8},     {"uint8", 1},
    {"uint16", 2},      {"uint32", 4},  {"uint64", 8},   {"float16", 2},   {"bfloat16", 2},
    {"float32", 4},     {"float64", 8}, {"float80", 16}, {"float128", 16}, {"complex64", 8},
    {"complex128", 16}, {"bool", 1},    {"string", 0},   {"record", 0},    {"bytes", 1},
}};

const DtypeInfo* InfoOf(int dtype) {
  if (dtype < 1 || dtype > static_cast<int>(kDtypes.size())) return nullptr;
  return &kDtypes[static_cast<std::size_t>(dtype) - 1];
}

// The caller's memory. Counts what was put there: what is not is a hole.
class MemoryTarget : public ReadTarget {
 public:
  explicit MemoryTarget(MutableByteSpan out) : out_(out) {}

  MutableByteSpan Direct(std::uint64_t offset, std::size_t length) override {
    if (offset > out_.size() || length > out_.size() - offset) return {};
    covered_ += length;
    return out_.subspan(offset, length);
  }
  Status Write(std::uint64_t offset, ByteSpan bytes) override {
    MutableByteSpan place = Direct(offset, bytes.size());
    if (place.size() != bytes.size()) {
      return Corruption("a chunk list is longer than its entry says");
    }
    std::memcpy(place.data(), bytes.data(), bytes.size());
    return Status();
  }
  std::uint64_t covered() const { return covered_; }

 private:
  const MutableByteSpan out_;
  std::atomic<std::uint64_t> covered_{0};
};

// The caller's memory, for elements of another type than was saved. Chunks of numbers have whole
// elements.
class ConvertTarget : public ReadTarget {
 public:
  ConvertTarget(Dtype from, Dtype to, MutableByteSpan out)
      : from_(from),
        to_(to),
        from_bytes_(*ElementBytesOf(from)),
        to_bytes_(*ElementBytesOf(to)),
        out_(out) {}

  Status Write(std::uint64_t offset, ByteSpan bytes) override {
    if (offset % from_bytes_ != 0 || bytes.size() % from_bytes_ != 0) {
      return Corruption("a chunk of an array begins or ends within an element");
    }
    const std::uint64_t index = offset / from_bytes_, count = bytes.size() / from_bytes_;
    MutableByteSpan place;
    if (!out_.empty()) {
      const std::uint64_t room = out_.size() / to_bytes_;
      if (index > room || count > room - index) {
        return Corruption("a chunk list is longer than its entry says");
      }
      place = out_.subspan(index * to_bytes_, count * to_bytes_);
    }
    return ConvertElements(from_, bytes, to_, place, index);
  }

 private:
  const Dtype from_, to_;
  const std::size_t from_bytes_, to_bytes_;
  const MutableByteSpan out_;
};

}  // namespace

std::size_t ArrayChunkBytes(std::uint32_t format_bytes, std::uint32_t element_bytes) {
  return element_bytes > format_bytes ? format_bytes : format_bytes - format_bytes % element_bytes;
}

// The width worth a trial: of plain bytes nobody knows, and beyond 256 there is no shuffle.
ChunkForm FormOf(const ArrayShape& shape, Effort effort) {
  if (shape.dtype == Dtype::kBytes || shape.element_bytes > 256) return {kUnknownWidth, effort};
  return {shape.element_bytes, effort};
}

std::optional<std::uint32_t> ElementBytesOf(Dtype dtype) {
  const DtypeInfo* info = InfoOf(static_cast<int>(dtype));
  if (info == nullptr) return std::nullopt;
  return info->element_bytes;
}

const char* DtypeName(int dtype) {
  const DtypeInfo* info = InfoOf(dtype);
  return info == nullptr ? "unknown" : info->name;
}

Status CompleteShape(ArrayShape* shape, std::uint64_t* bytes) {
  std::optional<std::uint32_t> element = ElementBytesOf(shape->dtype);
  if (!element.has_value()) {
    return InvalidArgument("element type " + std::to_string(static_cast<int>(shape->dtype)) +
                           " is not known: see ckpt_dtype");
  }
  if (*element != 0) shape->element_bytes = *element;
  if (shape->element_bytes == 0) {
    return InvalidArgument("element_bytes must say how long a string or record is");
  }
  if (shape->shape.size() > kDimensionsMax) {
    return InvalidArgument("an array has at most 32 dimensions");
  }
  std::uint64_t product = shape->element_bytes;
  bool empty = false;
  for (std::uint64_t extent : shape->shape) {
    empty = empty || extent == 0;
    if (extent == 0) continue;
    if (__builtin_mul_overflow(product, extent, &product) || product > kArrayBytesMax) {
      return InvalidArgument("the array's shape has more than 2^63 - 1 bytes");
    }
  }
  *bytes = empty ? 0 : product;
  return Status();
}

// ---- writing ---------------------------------------------------------------------------------

ArrayWriter::ArrayWriter(Store* store, std::unique_ptr<CheckpointWriter> writer)
    : store_(store),
      writer_(std::move(writer)),
      pipeline_(writer_->chunks(), store->threads(), store->format().array_chunk_bytes) {
  if (writer_->previous() == nullptr) return;
  previous_.emplace(writer_->previous()->entry_table, writer_->previous_source());
}

Result<std::unique_ptr<ArrayWriter>> ArrayWriter::Begin(Store* store, SaveOptions options) {
  CKPT_ASSIGN_OR_RETURN(auto writer, CheckpointWriter::Begin(store, std::move(options)));
  return std::unique_ptr<ArrayWriter>(new ArrayWriter(store, std::move(writer)));
}

// Only a help: what cannot be read of the checkpoint before is stored as if it were new.
std::unique_ptr<ChunkListReader> ArrayWriter::Before(const std::string& name) {
  if (!previous_.has_value()) return nullptr;
  auto entry = previous_->Find(name);
  if (!entry.ok() || !entry->has_value() || (*entry)->kind != EntryKind::kArray) return nullptr;
  return std::make_unique<ChunkListReader>((*entry)->content, writer_->previous_source());
}

Status ArrayWriter::AddChunks(const std::string& name, ByteSpan data, const ArrayShape& shape,
                              Effort effort, ChunkListBuilder* list) {
  std::unique_ptr<ChunkListReader> before = Before(name);
  std::size_t chunk_bytes =
      ArrayChunkBytes(store_->format().array_chunk_bytes, shape.element_bytes);
  for (std::size_t at = 0; at < data.size(); at += chunk_bytes) {
    ByteSpan raw = data.subspan(at, std::min(chunk_bytes, data.size() - at));
    std::optional<ChunkItem> item;
    if (before != nullptr) {
      auto next = before->Next();
      if (next.ok()) item = *std::move(next);
      if (!item.has_value()) before.reset();
    }
    bool known =
        item.has_value() && item->kind == ChunkItem::Kind::kChunk && item->raw_bytes == raw.size();
    CKPT_RETURN_IF_ERROR(
        pipeline_.AddBytes(list, raw, FormOf(shape, effort), known ? &item->id : nullptr));
  }
  return pipeline_.Drain();  // the memory is the caller's again
}

Status ArrayWriter::Put(const std::string& name, ByteSpan data, const ArrayShape& shape,
                        Effort effort) {
  CKPT_RETURN_IF_ERROR(ValidateEntryName(name));
  Entry entry;
  entry.kind = EntryKind::kArray;
  entry.name = name;
  entry.array = shape;
  std::uint64_t bytes = 0;
  CKPT_RETURN_IF_ERROR(CompleteShape(&entry.array, &bytes));
  if (bytes != data.size()) {
    return InvalidArgument("'" + ShownName(name) + "' has " + std::to_string(data.size()) +
                           " bytes where its shape needs " + std::to_string(bytes));
  }
  if (entries_.contains(name)) {
    return InvalidArgument("'" + ShownName(name) + "' was put into this checkpoint before");
  }
  ChunkListBuilder list(FanOut::kFixed, writer_->chunks());
  CKPT_RETURN_IF_ERROR(AddChunks(name, data, entry.array, effort, &list));
  if (pipeline_.known_used()) writer_->InheritPrevious();
  CKPT_ASSIGN_OR_RETURN(entry.content, list.Finish());
  entry.chunks = list.chunks();
  entry.logical_bytes = list.logical_bytes();
  entries_.emplace(name, std::move(entry));
  return Status();
}

Result<Saved> ArrayWriter::End() {
  for (const auto& [name, entry] : entries_) {
    CKPT_RETURN_IF_ERROR(writer_->AddEntry(entry, entry.logical_bytes));
  }
  return writer_->End();
}

// ---- reading ---------------------------------------------------------------------------------

Result<std::unique_ptr<CheckpointReader>> CheckpointReader::Open(Store* store,
                                                                 const std::string& name) {
  CKPT_RETURN_IF_ERROR(store->Refresh());
  std::unique_ptr<CheckpointReader> reader(new CheckpointReader(store));
  CKPT_ASSIGN_OR_RETURN(reader->resolved_, ResolveCheckpoint(store, name));
  CKPT_RETURN_IF_ERROR(reader->OpenRanks());
  return reader;
}

Status CheckpointReader::OpenRanks() {
  for (const CheckpointRow& row : resolved_.ranks) {
    Rank rank;
    CKPT_ASSIGN_OR_RETURN(rank.manifest, store_->ReadManifest(row));
    CKPT_ASSIGN_OR_RETURN(rank.fetcher, Fetcher::Open(store_, rank.manifest.packs));
    rank.table = std::make_unique<EntryTableReader>(rank.manifest.entry_table, rank.fetcher.get());
    ranks_.push_back(std::move(rank));
  }
  return Status();
}

Status CheckpointReader::UseRank(std::uint32_t rank) {
  std::erase_if(ranks_, [&](const Rank& r) { return r.manifest.rank != rank; });
  if (!ranks_.empty()) return Status();
  return NotFound("the checkpoint has no rank " + std::to_string(rank));
}

Result<std::vector<std::string>> CheckpointReader::Names() {
  Rank& rank = ranks_.front();
  EntryTableReader table(rank.manifest.entry_table, rank.fetcher.get());
  std::vector<std::string> names;
  for (;;) {
    auto entry = table.Next();
    if (!entry.ok()) return Explain(entry.status());
    if (!entry->has_value()) return names;
    names.push_back((*entry)->name);
  }
}

Status CheckpointReader::FindIn(Rank* rank, const std::string& name) {
  CKPT_ASSIGN_OR_RETURN(entry_, rank->table->Find(name));
  return Status();
}

Result<CheckpointReader::Found> CheckpointReader::Find(const std::string& name) {
  for (Rank& rank : ranks_) {
    if (Status s = FindIn(&rank, name); !s.ok()) return Explain(std::move(s));
    if (entry_.has_value()) return Found{&*entry_, rank.fetcher.get()};
  }
  return NotFound("the checkpoint has no entry '" + ShownName(name) + "'");
}

Result<CheckpointReader::Found> CheckpointReader::FindContent(const std::string& name) {
  CKPT_ASSIGN_OR_RETURN(Found found, Find(name));
  if (found.entry->kind != EntryKind::kHardLink) return found;
  const Entry link = *found.entry;
  auto file = FileOfLink(link, RankOf(found)->table.get());
  if (!file.ok()) return Explain(file.status());
  entry_ = *std::move(file);
  return Found{&*entry_, found.fetcher};
}

Status CheckpointReader::Get(const std::string& name, MutableByteSpan out) {
  CKPT_ASSIGN_OR_RETURN(Found found, Find(name));
  if (found.entry->logical_bytes != out.size()) {
    return InvalidArgument("'" + ShownName(name) + "' has " +
                           std::to_string(found.entry->logical_bytes) +
                           " bytes, the memory given " + std::to_string(out.size()));
  }
  Rank* const rank = RankOf(found);
  Status s = Read(rank, out);
  if (s.ok()) return s;
  rank->reader.reset();  // a failure is final for it
  return Explain(std::move(s));
}

Status CheckpointReader::GetAs(const std::string& name, Dtype to, MutableByteSpan out) {
  CKPT_ASSIGN_OR_RETURN(Found found, Find(name));
  const Dtype from = found.entry->array.dtype;
  auto refused = [&](const std::string& why) {
    return InvalidArgument("'" + ShownName(name) + "', saved as " +
                           DtypeName(static_cast<int>(from)) + ", cannot be read as " +
                           DtypeName(static_cast<int>(to)) + ": " + why);
  };
  if (found.entry->kind != EntryKind::kArray || !CanConvert(from, to)) {
    return refused("only numbers are converted, integers and floats of up to 64 bits");
  }
  const std::uint64_t count = found.entry->logical_bytes / *ElementBytesOf(from);
  if (!out.empty() && out.size() != count * *ElementBytesOf(to)) {
    return refused("there are " + std::to_string(count) + " elements, and memory for " +
                   std::to_string(out.size() / *ElementBytesOf(to)));
  }
  Rank* const rank = RankOf(found);
  Status s = ReadAs(rank, to, out);
  if (s.ok()) return s;
  rank->reader.reset();
  if (s.code() == Code::kInvalidArgument) return refused(s.message());
  return Explain(std::move(s));
}

CheckpointReader::Rank* CheckpointReader::RankOf(const Found& found) {
  return &*std::find_if(ranks_.begin(), ranks_.end(),
                        [&](const Rank& r) { return r.fetcher.get() == found.fetcher; });
}

// Answers the content's length.
Result<std::uint64_t> CheckpointReader::ReadInto(Rank* rank,
                                                 const std::shared_ptr<ReadTarget>& target) {
  if (rank->reader == nullptr) {
    rank->reader = std::make_unique<ParallelReader>(rank->fetcher.get(), store_->threads());
  }
  CKPT_ASSIGN_OR_RETURN(std::uint64_t length, rank->reader->Read(entry_->content, target));
  CKPT_RETURN_IF_ERROR(rank->reader->Drain());
  if (length == entry_->logical_bytes) return length;
  return Corruption("'" + ShownName(entry_->name) + "' has " + std::to_string(length) +
                    " bytes of content where its entry says " +
                    std::to_string(entry_->logical_bytes));
}

// Holes are not written: zero is zero in every type.
Status CheckpointReader::ReadAs(Rank* rank, Dtype to, MutableByteSpan out) {
  std::fill(out.begin(), out.end(), std::byte{0});
  auto target = std::make_shared<ConvertTarget>(entry_->array.dtype, to, out);
  return ReadInto(rank, target).status();
}

Status CheckpointReader::Read(Rank* rank, MutableByteSpan out) {
  // Holes are not written. Arrays of ours have none, so zeros come first for other kinds only.
  bool zeroed = entry_->kind != EntryKind::kArray;
  for (;; zeroed = true) {
    if (zeroed) std::fill(out.begin(), out.end(), std::byte{0});
    auto target = std::make_shared<MemoryTarget>(out);
    CKPT_ASSIGN_OR_RETURN(std::uint64_t length, ReadInto(rank, target));
    if (zeroed || target->covered() == length) return Status();
  }
}

Status CheckpointReader::Explain(Status status) {
  if (status.code() != Code::kCorruption) return status;
  if (!store_->Refresh().ok()) return status;
  auto view = SeriesView::Load(store_, resolved_.view.series());
  if (!view.ok() && view.status().code() != Code::kNotFound) return status;
  const CheckpointRow& first = resolved_.ranks.front();
  const std::string name = FormatCheckpointName(resolved_.view.series(), first.attempt, first.step);
  if (view.ok()) {
    const AttemptInfo* attempt = view->FindAttempt(first.attempt.id);
    if (attempt != nullptr && view->Find(*attempt, first.step) != nullptr) {
      return std::move(status).WithContext(name + " is damaged");
    }
  }
  return NotFound("checkpoint " + name + " was removed while it was read");
}

}  // namespace ckpt
