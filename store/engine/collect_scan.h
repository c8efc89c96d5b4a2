// PackScan: what a collector knows of the packs: every record of every pack but the chunks, where
// it is, and whether somebody may still be writing there.
//
// Reads packs/ and the packs themselves, never the index (which may lag), each pack from where it
// was read before. Keeps I5 (doubt means alive) and I8.
// Thread rule: one thread.

#ifndef CKPT_STORE_ENGINE_COLLECT_SCAN_H_
#define CKPT_STORE_ENGINE_COLLECT_SCAN_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "store/engine/store.h"
#include "store/manifest/manifest.h"
#include "store/pack/reader.h"

namespace ckpt {

struct ScannedRecord {
  std::uint64_t offset = 0;
  std::uint64_t extent_bytes = 0;
  bool staged = false;  // in the unmarked tail
  std::uint64_t writer_id = 0;
  // Manifests without tags and extensions.
  std::variant<std::monostate, Manifest, Tombstone, AttemptRecord, DamageRecord, AckRecord,
               MovedRecord, WriterRecord>
      value;
  template <typename T>
  const T* As() const {
    return std::get_if<T>(&value);
  }
};

struct ScannedPack {
  Id128 id;
  std::uint64_t file_bytes = 0;
  std::uint64_t allocated_bytes = 0;  // less where holes are
  std::uint64_t durable_end = 0;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::optional<SyncMark> mark;
  Id128 host;          // of the last mark, else of the header; zeros: not known
  bool began = false;  // has a header, or a mark
  bool reserve = false;
  std::uint64_t writer_id = 0;  // who wrote last; 0: not known
  bool unusable = false;  // foreign, damaged, or with a record that cannot be read: left alone
  std::vector<ScannedRecord> records;  // the staged ones last
};

// (series, attempt, step): what a tombstone names.
using StepName = std::tuple<std::string, AttemptRef, std::int64_t>;
// (series, attempt, step, rank): what a manifest is.
using ManifestName = std::tuple<std::string, AttemptRef, std::int64_t, std::uint32_t>;
StepName NameOf(const Tombstone& tombstone);
StepName StepOf(const Manifest& manifest);
ManifestName NameOf(const Manifest& manifest);

class PackScan {
 public:
  explicit PackScan(Store* store) : store_(store) {}

  // Lists packs/ and reads what is new.
  Status Refresh();
  const std::map<Id128, ScannedPack>& packs() const { return packs_; }
  const ScannedPack* Find(const Id128& id) const;

  // True when a writer must be waited for (docs/collection.md, "alive").
  Result<bool> Alive(const ScannedPack& pack) const;
  Result<bool> Locked(const ScannedPack& pack) const;
  // True when the pack's last writer belonged to a scheduler's job that has been started again
  // since: the scheduler ended it.
  bool StartedAgain(const ScannedPack& pack) const;
  // The highest epoch any acknowledgement or moved record names.
  std::uint64_t HighestEpoch() const;
  std::uint64_t AcknowledgedEpoch(const ScannedPack& pack) const;
  // For each pack moved from, the record of the highest epoch.
  std::map<Id128, const MovedRecord*> Moves() const;
  // Packs that stand in for these; those that are missing for good go into *missing instead.
  std::set<Id128> Resolve(const std::vector<PackReliance>& packs,
                          const std::map<Id128, const MovedRecord*>& moves,
                          std::set<Id128>* missing) const;
  // Hosts of this name, as manifests have it; a host id in hexadecimal digits names itself.
  std::set<Id128> HostsNamed(const std::string& name) const;

 private:
  Status Look(const Id128& id);
  Status Read(const PackReader& reader, ScannedPack* pack);
  Status FindWriter(const PackReader& reader, const PackContents& news, ScannedPack* pack);
  Status Add(const PackReader& reader, const std::vector<RecordEntry>& entries, bool staged,
             ScannedPack* pack);

  Store* const store_;
  std::map<Id128, ScannedPack> packs_;
  std::map<std::string, std::set<Id128>> hosts_;
  std::map<std::string, std::uint32_t> restarts_;  // of each job, the highest seen
  std::optional<bool> network_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_COLLECT_SCAN_H_
