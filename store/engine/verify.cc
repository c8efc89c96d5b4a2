#include "store/engine/verify.h"

#include <memory>

#include "store/engine/parallel_reader.h"

namespace ckpt {
namespace {

class Nowhere : public ReadTarget {
 public:
  Status Write(std::uint64_t, ByteSpan) override { return Status(); }
};

}  // namespace

Result<Entry> FileOfLink(const Entry& link, EntryTableReader* table) {
  auto wrong = [&](const std::string& why) {
    return Corruption("'" + link.name + "' is a hard link to '" + link.target + "', which " + why);
  };
  // It comes before the link: what an entry says of itself was checked when it was read.
  CKPT_ASSIGN_OR_RETURN(auto file, table->Find(link.target));
  if (!file.has_value()) return wrong("the checkpoint does not have");
  if (file->kind != EntryKind::kFile) return wrong("is no file");
  return *std::move(file);
}

Status VerifyCheckpoint(Store* store, const std::vector<CheckpointRow>& ranks) {
  for (const CheckpointRow& row : ranks) {
    CKPT_ASSIGN_OR_RETURN(Manifest manifest, store->ReadManifest(row));
    CKPT_ASSIGN_OR_RETURN(auto fetcher, Fetcher::Open(store, manifest.packs));
    ParallelReader reader(fetcher.get(), store->threads());
    EntryTableReader table(manifest.entry_table, fetcher.get());
    auto nowhere = std::make_shared<Nowhere>();
    for (;;) {
      CKPT_ASSIGN_OR_RETURN(auto entry, table.Next());
      if (!entry.has_value()) break;
      if (entry->kind == EntryKind::kHardLink) {
        CKPT_RETURN_IF_ERROR(FileOfLink(*entry, &table).status());
      }
      CKPT_ASSIGN_OR_RETURN(std::uint64_t length, reader.Read(entry->content, nowhere));
      if (length != entry->logical_bytes) {
        return Corruption("'" + entry->name + "' has " + std::to_string(length) +
                          " bytes of content where its entry says " +
                          std::to_string(entry->logical_bytes));
      }
    }
    CKPT_RETURN_IF_ERROR(reader.Drain());
  }
  return Status();
}

}  // namespace ckpt
