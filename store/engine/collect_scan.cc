#include "store/engine/collect_scan.h"

#include <algorithm>

#include "store/codec/compress.h"

namespace ckpt {
namespace {

Result<Bytes> Payload(const PackReader& reader, std::uint64_t offset, RecordHeader* header) {
  Bytes stored;
  CKPT_ASSIGN_OR_RETURN(*header, reader.ReadRecord(offset, &stored));
  if (header->codec == 0) return stored;
  Bytes raw(header->raw_bytes);  // bounded by the header's type
  Decoder decoder;
  CKPT_RETURN_IF_ERROR(decoder.Decode(header->codec, header->codec_param, stored, raw));
  return raw;
}

template <typename T>
Status Take(Result<T> decoded, ScannedRecord* record) {
  if (!decoded.ok()) return decoded.status();
  record->value = *std::move(decoded);
  return Status();
}

Status Decode(RecordType type, ByteSpan payload, ScannedRecord* record) {
  switch (type) {
    case RecordType::kManifest:
      return Take(DecodeManifest(payload), record);
    case RecordType::kTombstone:
      return Take(DecodeTombstone(payload), record);
    case RecordType::kAttempt:
      return Take(DecodeAttempt(payload), record);
    case RecordType::kDamage:
      return Take(DecodeDamage(payload), record);
    case RecordType::kAck:
      return Take(DecodeAck(payload), record);
    case RecordType::kMoved:
      return Take(DecodeMoved(payload), record);
    case RecordType::kWriter:
      return Take(DecodeWriter(payload), record);
    default:
      return Unsupported("a record of an unknown type");
  }
}

bool LeavesAlone(const Status& status) {
  return status.code() == Code::kCorruption || status.code() == Code::kUnsupported;
}

}  // namespace

StepName NameOf(const Tombstone& t) { return {t.series, t.attempt, t.step}; }
StepName StepOf(const Manifest& m) { return {m.series, m.attempt, m.step}; }
ManifestName NameOf(const Manifest& m) { return {m.series, m.attempt, m.step, m.rank}; }

const ScannedPack* PackScan::Find(const Id128& id) const {
  auto it = packs_.find(id);
  return it == packs_.end() ? nullptr : &it->second;
}

Status PackScan::Refresh() {
  CKPT_ASSIGN_OR_RETURN(auto names, store_->packs_dir()->List());
  std::set<Id128> present;
  for (const DirEntry& name : names) {
    Id128 id;
    if (ParsePackFileName(name.name, &id)) present.insert(id);
  }
  std::erase_if(packs_, [&](const auto& pack) { return !present.contains(pack.first); });
  for (const Id128& id : present) {
    Status s = Look(id);
    if (s.code() == Code::kNotFound) packs_.erase(id);
    if (!s.ok() && s.code() != Code::kNotFound) return s;
  }
  return Status();
}

// Opened by name each time: on a network file system that is what shows another host's appends.
Status PackScan::Look(const Id128& id) {
  CKPT_ASSIGN_OR_RETURN(auto file,
                        OpenOwnFile(store_->packs_dir(), PackFileName(id), OpenOptions{}));
  CKPT_ASSIGN_OR_RETURN(FileInfo info, file->Stat());
  ScannedPack& pack = packs_[id];
  pack.allocated_bytes = info.allocated_bytes;
  bool known = pack.id == id && pack.began;
  if (known && pack.file_bytes == info.size_bytes && !pack.reserve) return Status();
  pack.id = id;
  pack.file_bytes = info.size_bytes;
  pack.device = info.device;
  pack.inode = info.inode;
  // Manifests below a bad header are roots like any others.
  auto reader = PackReader::Open(store_->packs_dir(), id, store_->format().uuid,
                                 PackReader::BadHeader::kSalvage);
  if (!reader.ok() && reader.status().code() == Code::kNotFound) {
    return store_->packs_dir()->StatEntry(PackFileName(id)).ok() ? Status() : reader.status();
  }
  pack.began = true;
  if (!reader.ok()) {
    pack.unusable = true;
    return LeavesAlone(reader.status()) ? Status() : reader.status();
  }
  return Read(**reader, &pack);
}

Status PackScan::Read(const PackReader& reader, ScannedPack* pack) {
  CKPT_ASSIGN_OR_RETURN(PackContents news, reader.ReadFrom(pack->durable_end, true));
  pack->file_bytes = news.file_bytes;
  pack->reserve = reader.header().reserve;
  pack->host = news.mark.has_value() ? news.mark->host : reader.header().host;
  std::erase_if(pack->records, [](const ScannedRecord& record) { return record.staged; });
  for (const DamagedRange& range : news.damage) {
    if (range.begin < news.durable_end) pack->unusable = true;
  }
  CKPT_RETURN_IF_ERROR(Add(reader, news.records, false, pack));
  CKPT_RETURN_IF_ERROR(Add(reader, news.tail_records, true, pack));
  pack->mark = news.mark;
  pack->durable_end = news.durable_end;
  return FindWriter(reader, news, pack);
}

// Of whatever stands last: a record of the unmarked tail, else the last mark.
Status PackScan::FindWriter(const PackReader& reader, const PackContents& news, ScannedPack* pack) {
  std::uint64_t last = news.mark.has_value() ? news.mark->durable_offset : 0;
  if (!news.tail_records.empty()) last = std::max(last, news.tail_records.back().offset);
  if (!news.tail_chunks.empty()) last = std::max(last, news.tail_chunks.back().offset);
  pack->writer_id = 0;
  if (last == 0) return Status();
  Bytes payload;
  auto header = reader.ReadRecord(last, &payload);
  if (header.ok()) pack->writer_id = header->writer_id;
  return header.ok() || LeavesAlone(header.status()) ? Status() : header.status();
}

// A staged record that does not verify is none; a durable one makes the pack one to leave alone.
Status PackScan::Add(const PackReader& reader, const std::vector<RecordEntry>& entries, bool staged,
                     ScannedPack* pack) {
  for (const RecordEntry& entry : entries) {
    ScannedRecord record;
    record.offset = entry.offset;
    record.staged = staged;
    RecordHeader header;
    auto payload = Payload(reader, entry.offset, &header);
    Status s = payload.ok() ? Decode(entry.type, *payload, &record) : payload.status();
    if (!s.ok() && !LeavesAlone(s)) return s;
    if (!s.ok()) {
      pack->unusable = pack->unusable || !staged;
      continue;
    }
    record.extent_bytes = header.ExtentBytes();
    record.writer_id = header.writer_id;
    if (auto* writer = record.As<WriterRecord>()) {
      std::uint32_t& highest = restarts_[writer->job_id];
      highest = std::max(highest, writer->restarts);
    }
    if (auto* manifest = std::get_if<Manifest>(&record.value)) {
      hosts_[manifest->host_name].insert(manifest->host);
      manifest->tags.clear();
      manifest->extensions.clear();
    }
    pack->records.push_back(std::move(record));
  }
  return Status();
}

Result<bool> PackScan::Locked(const ScannedPack& pack) const {
  auto file = OpenOwnFile(store_->packs_dir(), PackFileName(pack.id), OpenOptions{});
  if (!file.ok() && file.status().code() == Code::kNotFound) return false;
  if (!file.ok()) return file.status();
  return (*file)->LockedByOther();
}

Result<bool> PackScan::Alive(const ScannedPack& pack) const {
  CKPT_ASSIGN_OR_RETURN(bool locked, Locked(pack));
  if (locked) return true;
  // A writer of another host that has not announced itself reads `collect` after it does.
  if (!pack.began || pack.host.IsZero() || pack.host == store_->env()->HostId()) return false;
  bool ended = pack.mark.has_value() && pack.mark->closed && pack.durable_end == pack.file_bytes;
  if (ended || pack.reserve) return false;
  CKPT_ASSIGN_OR_RETURN(bool network, store_->packs_dir()->OnNetworkFileSystem());
  // On a local file system the mark names the very file: in a copy of a store, nobody's.
  bool copied = !network && pack.mark.has_value() &&
                (pack.mark->inode != pack.inode || pack.mark->device != pack.device);
  return !copied;
}

bool PackScan::StartedAgain(const ScannedPack& pack) const {
  for (const ScannedRecord& record : pack.records) {
    auto* writer = record.As<WriterRecord>();
    if (writer == nullptr || writer->job_id.empty()) continue;
    if (pack.writer_id == 0 || record.writer_id != pack.writer_id) continue;
    return restarts_.at(writer->job_id) > writer->restarts;
  }
  return false;
}

std::uint64_t PackScan::AcknowledgedEpoch(const ScannedPack& pack) const {
  std::uint64_t epoch = 0;
  for (const ScannedRecord& record : pack.records) {
    if (auto* ack = record.As<AckRecord>()) epoch = std::max(epoch, ack->epoch);
  }
  return epoch;
}

std::uint64_t PackScan::HighestEpoch() const {
  std::uint64_t epoch = 0;
  for (const auto& [id, pack] : packs_) {
    epoch = std::max(epoch, AcknowledgedEpoch(pack));
    for (const ScannedRecord& record : pack.records) {
      if (auto* moved = record.As<MovedRecord>()) epoch = std::max(epoch, moved->epoch);
    }
  }
  return epoch;
}

std::map<Id128, const MovedRecord*> PackScan::Moves() const {
  std::map<Id128, const MovedRecord*> moves;
  for (const auto& [id, pack] : packs_) {
    for (const ScannedRecord& record : pack.records) {
      auto* moved = record.As<MovedRecord>();
      if (moved == nullptr) continue;
      const MovedRecord*& best = moves[moved->from];
      if (best == nullptr || moved->epoch > best->epoch) best = moved;
    }
  }
  return moves;
}

std::set<Id128> PackScan::Resolve(const std::vector<PackReliance>& packs,
                                  const std::map<Id128, const MovedRecord*>& moves,
                                  std::set<Id128>* missing) const {
  std::set<Id128> found, seen;
  std::vector<Id128> pending;
  pending.reserve(packs.size());
  for (const PackReliance& pack : packs) pending.push_back(pack.pack_id);
  while (!pending.empty()) {
    Id128 id = pending.back();
    pending.pop_back();
    if (!seen.insert(id).second) continue;
    auto moved = moves.find(id);
    if (packs_.contains(id)) {
      found.insert(id);
    } else if (moved == moves.end()) {
      missing->insert(id);
    } else {
      for (const PackReliance& to : moved->second->to) pending.push_back(to.pack_id);
    }
  }
  return found;
}

std::set<Id128> PackScan::HostsNamed(const std::string& name) const {
  std::set<Id128> hosts;
  Id128 id;
  if (Id128::FromHex(name, &id)) hosts.insert(id);
  auto it = hosts_.find(name);
  if (it != hosts_.end()) hosts.insert(it->second.begin(), it->second.end());
  return hosts;
}

}  // namespace ckpt
