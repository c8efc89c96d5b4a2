#include "store/index/lmdb_index.h"

#include <algorithm>
#include <utility>

#include "store/index/lmdb_index_impl.h"
#include "store/index/lmdb_publish.h"
#include "store/index/process_registry.h"
#include "store/index/record_chain.h"

namespace ckpt {

namespace index_internal {
namespace {

constexpr std::int64_t kOpenWaitMs = 50;
constexpr int kMapChangesMax = 64;
constexpr std::size_t kBatchFirst = 32;  // a scan that wants ten records should not copy thousands
constexpr std::size_t kBatchLast = 4096;

}  // namespace

LmdbIndex::LmdbIndex(Env* env, LmdbIndexOptions options, std::unique_ptr<LmdbDir> dir)
    : env_(env), options_(std::move(options)), dir_(std::move(dir)), forks_(ForkCount()) {}

LmdbIndex::~LmdbIndex() {
  if (Forked()) static_cast<void>(lmdb_.release());  // the parent's: not even to be closed
  CloseEnv();
}

Result<std::vector<PackCoverage>> LmdbIndex::Packs() {
  std::vector<PackCoverage> packs;
  for (int attempt = 0; attempt < 2; ++attempt) {
    CKPT_ASSIGN_OR_RETURN(bool open, Refresh(false));
    if (!open) return std::vector<PackCoverage>();
    int rc = Read([&](LmdbEnv* lmdb, MDB_txn* txn) { return ReadPacks(lmdb, txn, &packs); });
    if (rc == 0) return packs;
    packs.clear();
    if (!IsDamage(rc)) break;  // no reader slot: an index that knows nothing
  }
  return packs;
}

int LmdbIndex::ReadPacks(LmdbEnv* lmdb, MDB_txn* txn, std::vector<PackCoverage>* packs) {
  packs->clear();
  Cursor cursor;
  int rc = cursor.Open(lmdb, txn, kPacks);
  if (rc == 0) rc = cursor.Get(MDB_FIRST);
  for (; rc == 0; rc = cursor.Get(MDB_NEXT)) {
    PackCoverage pack;
    if (!DecodePackRow(lmdb->sealer(), Span(cursor.key), Span(cursor.value), &pack)) {
      return MDB_CORRUPTED;
    }
    if (pack.covered_bytes != 0) packs->push_back(pack);
  }
  if (rc != MDB_NOTFOUND) return rc;
  // A pack with two numbers: a lost row. (A lost pack as such is only one that is read again.)
  std::ranges::sort(*packs, {}, &PackCoverage::pack_id);
  auto twin = std::ranges::adjacent_find(*packs, {}, &PackCoverage::pack_id);
  return twin == packs->end() ? 0 : MDB_CORRUPTED;
}

Result<std::optional<ChunkPlace>> LmdbIndex::FindChunk(const Id128& id) {
  std::optional<ChunkPlace> place;
  int rc = Read([&](LmdbEnv* lmdb, MDB_txn* txn) {
    place.reset();
    MDB_val key = Val(IdSpan(id));
    MDB_val value{};
    int found = mdb_get(txn, lmdb->table(kChunks), &key, &value);
    if (found != 0) return found == MDB_NOTFOUND ? 0 : found;
    ChunkRow row;
    if (!DecodeChunkRow(lmdb->sealer(), id, Span(value), &row)) return MDB_CORRUPTED;
    std::optional<PackCoverage> pack;
    found = FindPack(lmdb, txn, row.pack, &pack);
    if (found == 0 && pack && row.entry.offset < pack->covered_bytes) {
      place = ChunkPlace{.pack_id = pack->pack_id, .entry = row.entry};
    }
    return found;
  });
  if (rc != 0) place.reset();
  return place;
}

Status LmdbIndex::ScanRecords(ByteSpan prefix, bool reverse, const RecordVisitor& fn) {
  if (prefix.size() > kRecordKeyBytesMax) return {};
  RecordBatch batch(prefix, reverse);
  for (std::size_t limit = kBatchFirst; !batch.done(); limit = std::min(limit * 4, kBatchLast)) {
    int rc = Read([&](LmdbEnv* lmdb, MDB_txn* txn) { return batch.Read(lmdb, txn, limit); });
    if (IsDamage(rc)) return LmdbStatus(rc, "scan index " + dir_->path());
    if (rc != 0) return Busy("scan index " + dir_->path() + ": it cannot be read just now");
    if (!batch.Visit(fn)) break;
  }
  return {};
}

Result<IndexStats> LmdbIndex::Stats() {
  IndexStats stats;
  std::uint64_t number = 0;
  int rc = Read([&](LmdbEnv* lmdb, MDB_txn* txn) {
    MDB_stat chunks;
    MDB_stat records;
    int read = mdb_stat(txn, lmdb->table(kChunks), &chunks);
    if (read == 0) read = mdb_stat(txn, lmdb->table(kRecords), &records);
    if (read != 0) return read;
    stats.chunks = chunks.ms_entries;
    stats.records = records.ms_entries - std::min<std::size_t>(records.ms_entries, 1);
    number = generation_.number;
    return 0;
  });
  if (rc != 0) return IndexStats();
  Result<std::uint64_t> bytes = dir_->FileBytes(number);
  if (bytes.ok()) stats.bytes = *bytes;
  return stats;
}

Result<bool> LmdbIndex::Publish(const IndexUpdate& update) {
  CKPT_RETURN_IF_ERROR(ValidateUpdate(update));
  if (Forked()) return false;
  std::unique_lock turn(publish_mutex_, std::try_to_lock);
  if (!turn.owns_lock()) return false;
  CKPT_ASSIGN_OR_RETURN(auto lock, LockForWriting());
  if (lock == nullptr) return false;
  CKPT_ASSIGN_OR_RETURN(bool open, Refresh(true));
  if (!open) return false;
  std::optional<Generation> generation = OpenGeneration();
  if (!generation) return false;
  Result<bool> published = WriteAll(lock.get(), *generation, update);
  dir_->ExtendTo(generation->number, UsedBytes(*generation));
  lock->Idle();
  return published;
}

// False: another thread found damage and discarded the generation.
Result<bool> LmdbIndex::WriteAll(HeldLock* lock, const Generation& generation,
                                 const IndexUpdate& update) {
  const std::uint64_t number = generation.number;
  HeldLock::Work last = lock->LastWork();
  std::uint64_t died = last.number == number ? last.commits : 0;
  bool replaced = false;
  Publisher publisher(update);
  while (!publisher.done()) {
    Status status = Write([&](LmdbEnv* lmdb, MDB_txn* txn) {
      replaced = !(generation_ == generation);
      if (replaced) return EBUSY;
      lock->WorkingOn({.number = number, .commits = 0});
      int rc = publisher.Fill(lmdb, txn);
      if (rc == 0) lock->WorkingOn({.number = number, .commits = died + 1});
      return rc;
    });
    if (replaced) return false;
    CKPT_RETURN_IF_ERROR(status);
    died = 0;
    publisher.Committed();
  }
  return !publisher.left_out();
}

Result<std::unique_ptr<HeldLock>> LmdbIndex::LockForWriting() {
  CKPT_ASSIGN_OR_RETURN(auto lock, dir_->TryLock(kPublishLock, 0));
  if (lock == nullptr) return lock;
  HeldLock::Work work = lock->LastWork();
  if (work.Condemns(work.number) && work.number != 0) {
    // Whoever held the lock died while writing, perhaps because the file is damaged.
    CKPT_ASSIGN_OR_RETURN(auto opening, dir_->TryLock(kOpenLock, kOpenWaitMs));
    if (opening == nullptr) return std::unique_ptr<HeldLock>();
    CKPT_ASSIGN_OR_RETURN(std::optional<Generation> current, dir_->Current());
    if (current && current->number == work.number) dir_->RemoveAllBut(0);
    lock->Idle();
  }
  return lock;
}

// Closing gives reader slots back, in mapped memory.
void LmdbIndex::CloseEnv() {
  if (lmdb_ != nullptr && dir_->TooFullToMap()) lmdb_->Abandon();
  lmdb_.reset();
}

template <typename F>
int LmdbIndex::Read(F&& fn) {
  if (Forked() || dir_->TooFullToMap()) return EAGAIN;
  for (int attempt = 0;; ++attempt) {
    int rc;
    {
      std::shared_lock hold(gate_);
      if (lmdb_ == nullptr || damaged_.load(std::memory_order_relaxed)) return EAGAIN;
      rc = lmdb_->Read([&](MDB_txn* txn) { return fn(lmdb_.get(), txn); });
    }
    if (rc == 0) return 0;
    if (rc == MDB_MAP_RESIZED && attempt < kMapChangesMax) {
      ChangeMap(rc);
      continue;
    }
    if (IsDamage(rc)) damaged_.store(true, std::memory_order_relaxed);
    return rc;
  }
}

Status LmdbIndex::Write(const std::function<int(LmdbEnv*, MDB_txn*)>& fn) {
  for (int attempt = 0;; ++attempt) {
    int rc = EAGAIN;
    {
      std::shared_lock hold(gate_);
      const bool may = lmdb_ != nullptr && !dir_->TooFullToMap();
      if (may) rc = lmdb_->Write([&](MDB_txn* txn) { return fn(lmdb_.get(), txn); });
    }
    if (rc == 0) return {};
    if ((rc == MDB_MAP_FULL || rc == MDB_MAP_RESIZED) && attempt < kMapChangesMax) {
      rc = ChangeMap(rc);
      if (rc == 0) continue;
    }
    // After a failed write LMDB's next commit may succeed although pages are gone: never again.
    if (IsDamage(rc)) damaged_.store(true, std::memory_order_relaxed);
    return LmdbStatus(rc, "write index " + dir_->path());
  }
}

int LmdbIndex::ChangeMap(int reason) {
  std::unique_lock hold(gate_);
  if (lmdb_ == nullptr) return EAGAIN;
  int rc = reason == MDB_MAP_FULL ? lmdb_->GrowMap() : lmdb_->AdoptMap();
  if (rc != 0) CloseEnv();
  return rc;
}

std::uint64_t LmdbIndex::GenerationNumber() {
  constexpr int kDropsBits = 32;
  std::uint64_t number = 0;
  std::uint32_t drops = 0;
  int rc = Read([&](LmdbEnv* lmdb, MDB_txn* txn) {
    number = generation_.number;
    return ReadDrops(lmdb, txn, &drops);
  });
  return rc == 0 ? number << kDropsBits | drops : 0;
}

std::optional<Generation> LmdbIndex::OpenGeneration() {
  std::shared_lock hold(gate_);
  return lmdb_ != nullptr ? std::optional<Generation>(generation_) : std::nullopt;
}

std::uint64_t LmdbIndex::UsedBytes(const Generation& generation) {
  std::shared_lock hold(gate_);
  bool usable = lmdb_ != nullptr && !lmdb_->abandoned() && generation_ == generation;
  return usable ? lmdb_->UsedBytes() : 0;
}

Result<bool> LmdbIndex::Refresh(bool writing) {
  if (Forked()) return false;
  std::lock_guard turn(refresh_mutex_);
  if (!dir_->StillThere()) return false;
  bool damaged = damaged_.load(std::memory_order_relaxed);
  if (std::optional<Generation> open = OpenGeneration(); open && !damaged) {
    CKPT_ASSIGN_OR_RETURN(std::optional<Generation> current, dir_->Current());
    if (current == open) return true;
  }
  std::unique_lock hold(gate_);  // first: who claims a slot holds it and waits for the lock
  CKPT_ASSIGN_OR_RETURN(auto lock, dir_->TryLock(kOpenLock, kOpenWaitMs));
  if (lock == nullptr) return lmdb_ != nullptr && !damaged;
  // One that is left as it is has a file that is not to be opened a second time.
  damaged = damaged || (lmdb_ != nullptr && dir_->TooFullToMap());
  CloseEnv();
  if (damaged) DiscardIfCurrent(generation_);
  damaged_.store(false, std::memory_order_relaxed);
  return OpenCurrent(lock.get(), writing);
}

void LmdbIndex::DiscardIfCurrent(const Generation& generation) {
  Result<std::optional<Generation>> current = dir_->Current();
  if (current.ok() && *current && **current == generation) dir_->RemoveAllBut(0);
}

Result<bool> LmdbIndex::OpenCurrent(HeldLock* lock, bool writing) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    CKPT_ASSIGN_OR_RETURN(std::optional<Generation> current, dir_->Current());
    Suspicion suspicion = Suspicion::kNone;
    if (current) {
      CKPT_ASSIGN_OR_RETURN(suspicion, Suspect(lock, current->number, writing));
    }
    if (suspicion == Suspicion::kWait) return false;
    bool create = !current || suspicion == Suspicion::kDamaged;
    std::uint64_t number = (current ? current->number : 0) + (create ? 1 : 0);
    if (create) dir_->RemoveAllBut(0);
    lock->WorkingOn({.number = number, .commits = 0});
    int rc = OpenNumber(number, create);
    lock->Idle();
    if (rc == 0) return true;
    CloseEnv();
    if (!IsDamage(rc)) {
      if (create) dir_->RemoveAllBut(0);
      if (rc == EAGAIN || rc == MDB_READERS_FULL || rc == ENOMEM) return false;
      return LmdbStatus(rc, "open index " + dir_->path());
    }
    dir_->RemoveAllBut(0);
  }
  return false;
}

Result<LmdbIndex::Suspicion> LmdbIndex::Suspect(HeldLock* lock, std::uint64_t number,
                                                bool writing) {
  if (lock->LastWork().Condemns(number)) return Suspicion::kDamaged;
  LmdbDir::Check check = dir_->CheckFile(number);
  if (check == LmdbDir::Check::kDamaged) return Suspicion::kDamaged;
  std::unique_ptr<HeldLock> publish;
  if (!writing) {
    CKPT_ASSIGN_OR_RETURN(publish, dir_->TryLock(kPublishLock, 0));
    if (publish != nullptr && publish->LastWork().Condemns(number)) {
      publish->Idle();
      return Suspicion::kDamaged;
    }
  }
  if (check == LmdbDir::Check::kSound) return Suspicion::kNone;
  if (!writing && publish == nullptr) return Suspicion::kWait;  // it may be growing just now
  return dir_->CheckFile(number) == LmdbDir::Check::kSound ? Suspicion::kNone : Suspicion::kDamaged;
}

int LmdbIndex::OpenNumber(std::uint64_t number, bool create) {
  std::set<long> active = create ? std::set<long>() : dir_->ActiveReaders(number);
  LmdbEnv::Options options;
  options.path = dir_->PathOf(number);
  options.readers_max = options_.readers_max;
  options.create = create;
  options.identity = {.store_uuid = options_.store_uuid, .host = options_.host};
  env_->Random(std::as_writable_bytes(std::span(&options.identity.seed, 1)));
  options.claim = [this](const std::function<int()>& begin) {
    Result<std::unique_ptr<HeldLock>> lock = dir_->TryLock(kOpenLock, kOpenWaitMs);
    return lock.ok() && *lock != nullptr ? begin() : EAGAIN;
  };
  Result<std::uint64_t> bytes = create ? Result<std::uint64_t>(0) : dir_->FileBytes(number);
  options.map_bytes = options_.map_bytes_start;
  while (bytes.ok() && options.map_bytes < *bytes + *bytes / 4) options.map_bytes *= 2;
  Status allocated = dir_->AllocateLockFile(number, options.readers_max);
  if (allocated.code() == Code::kNoSpace) return ENOSPC;
  int rc = LmdbEnv::Open(options, &lmdb_);  // which says itself what else is wrong
  if (rc != 0) return rc;
  std::set<long> alive;
  rc = lmdb_->CheckReaders(&alive);
  if (rc != 0) return rc;
  // Somebody died in a read transaction: killed at that moment, or by a damaged page.
  bool died = !std::ranges::includes(alive, active);
  if (died) return MDB_CORRUPTED;
  return FindGeneration();
}

int LmdbIndex::FindGeneration() {
  Result<std::optional<Generation>> current = dir_->Current();
  if (!current.ok() || !*current) return EAGAIN;
  generation_ = **current;
  return 0;
}

}  // namespace index_internal

Result<std::shared_ptr<Index>> OpenLmdbIndex(Env* env, const LmdbIndexOptions& options) {
  using index_internal::LmdbDir;
  using index_internal::LmdbIndex;
  CKPT_ASSIGN_OR_RETURN(auto dir, LmdbDir::Open(env, options.path));
  index_internal::RegistryKey key{dir->info().device, dir->info().inode};
  CKPT_ASSIGN_OR_RETURN(std::shared_ptr<LmdbIndex> index, index_internal::FindOrMake(key, [&] {
                          return new LmdbIndex(env, options, std::move(dir));
                        }));
  if (index->options().store_uuid != options.store_uuid || index->options().host != options.host) {
    return Unsupported("open index " + options.path + ": this process uses it for another store");
  }
  // No generation may be open after this: somebody stopped while opening. Later, then.
  CKPT_ASSIGN_OR_RETURN(bool open, index->Refresh(false));
  static_cast<void>(open);
  return std::shared_ptr<Index>(std::move(index));
}

}  // namespace ckpt
