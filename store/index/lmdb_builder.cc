// IndexBuilder: fills build.mdb in key order (MDB_APPEND), without locks or syncs of its own since
// nobody else opens it, then syncs it once and makes it the newest generation.

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "store/base/quietly.h"
#include "store/index/lmdb_index_impl.h"

namespace ckpt {
namespace index_internal {
namespace {

constexpr std::size_t kRowsPerBuildTransaction = 1u << 18;
constexpr std::uint64_t kMapStartBytes = 256u << 20;
// More than one transaction of chunks or one record can need.
constexpr std::uint64_t kMapReserveBytes = 96u << 20;
constexpr std::size_t kRecordBytesPerTransaction = 16u << 20;

class LmdbBuilder final : public IndexBuilder {
 public:
  LmdbBuilder(std::shared_ptr<LmdbIndex> index, std::unique_lock<std::mutex> turn,
              std::unique_ptr<HeldLock> lock)
      : index_(std::move(index)), turn_(std::move(turn)), lock_(std::move(lock)) {}
  ~LmdbBuilder() override;

  Status Start();
  Status AddChunk(const Id128& pack_id, const ChunkEntry& entry) override;
  Status AddRecord(const Id128& pack_id, const IndexRecord& record) override;
  Status Finish(const std::vector<PackCoverage>& packs) override;

 private:
  int Begin();
  int Append(Table table, ByteSpan key, ByteSpan value);
  int Commit();
  int AppendRecords();
  int AppendPacks(const std::vector<PackCoverage>& packs);
  std::uint32_t NumberOf(const Id128& pack_id);
  Status Failed(int rc);

  std::shared_ptr<LmdbIndex> index_;
  std::unique_lock<std::mutex> turn_;
  std::unique_ptr<HeldLock> lock_;
  const std::uint64_t forks_ = ForkCount();

  std::unique_ptr<LmdbEnv> lmdb_;
  MDB_txn* txn_ = nullptr;
  std::size_t rows_ = 0;
  std::size_t bytes_ = 0;
  bool any_ = false;
  Id128 last_id_;
  std::unordered_map<Id128, std::uint32_t, Id128Hash> numbers_;
  struct Record {
    Bytes key;  // with the 0x01
    Bytes value;
    std::uint32_t pack;
  };
  std::vector<Record> records_;
};

LmdbBuilder::~LmdbBuilder() {
  if (ForkCount() != forks_) {
    static_cast<void>(lmdb_.release());
    return;
  }
  if (txn_ != nullptr) {  // not at all where an assertion of LMDB's failed
    static_cast<void>(lmdb_->Guarded([this] {
      mdb_txn_abort(txn_);
      return 0;
    }));
  }
  bool unfinished = lmdb_ != nullptr;
  lmdb_.reset();
  if (unfinished) Quietly([this] { index_->dir().RemoveBuild(); });
}

Status LmdbBuilder::Start() {
  index_->dir().RemoveBuild();
  LmdbEnv::Options options;
  options.path = index_->dir().path() + "/" + kBuildFile;
  options.map_bytes = kMapStartBytes;
  options.flags = MDB_NOSYNC | MDB_NOLOCK;
  options.create = true;
  options.identity = {.store_uuid = index_->options().store_uuid, .host = index_->options().host};
  index_->env()->Random(std::as_writable_bytes(std::span(&options.identity.seed, 1)));
  return Failed(LmdbEnv::Open(options, &lmdb_));
}

Status LmdbBuilder::Failed(int rc) {
  if (rc == 0) return {};
  return LmdbStatus(rc, "build index " + index_->dir().path());
}

std::uint32_t LmdbBuilder::NumberOf(const Id128& pack_id) {
  return numbers_.try_emplace(pack_id, static_cast<std::uint32_t>(numbers_.size() + 1))
      .first->second;
}

int LmdbBuilder::Begin() {
  if (txn_ != nullptr) return 0;
  MDB_envinfo info;
  int rc = mdb_env_info(lmdb_->get(), &info);
  if (rc == 0 && lmdb_->UsedBytes() + kMapReserveBytes > info.me_mapsize) rc = lmdb_->GrowMap();
  return rc != 0 ? rc : mdb_txn_begin(lmdb_->get(), nullptr, 0, &txn_);
}

int LmdbBuilder::Append(Table table, ByteSpan key, ByteSpan value) {
  int rc = Begin();
  if (rc != 0) return rc;
  MDB_val k = Val(key);
  MDB_val v = Val(value);
  rc = mdb_put(txn_, lmdb_->table(table), &k, &v, MDB_APPEND);
  if (rc != 0) return rc;
  bytes_ += value.size();
  bool full = ++rows_ >= kRowsPerBuildTransaction || bytes_ >= kRecordBytesPerTransaction;
  return full ? Commit() : 0;
}

int LmdbBuilder::Commit() {
  rows_ = 0;
  bytes_ = 0;
  return txn_ == nullptr ? 0 : mdb_txn_commit(std::exchange(txn_, nullptr));
}

Status LmdbBuilder::AddChunk(const Id128& pack_id, const ChunkEntry& entry) {
  CKPT_RETURN_IF_ERROR(ValidateChunk(entry));
  if (any_ && entry.id == last_id_) return {};
  if (any_ && entry.id < last_id_) return InvalidArgument("build index: ids are not ascending");
  any_ = true;
  last_id_ = entry.id;
  ChunkValue value = EncodeChunkRow(lmdb_->sealer(), {.pack = NumberOf(pack_id), .entry = entry});
  return Failed(lmdb_->Guarded(
      [&] { return Append(kChunks, IdSpan(entry.id), ByteSpan(value.bytes.data(), value.size)); }));
}

Status LmdbBuilder::AddRecord(const Id128& pack_id, const IndexRecord& record) {
  CKPT_RETURN_IF_ERROR(ValidateRecord(record));
  records_.push_back({RecordKey(record.key), record.value, NumberOf(pack_id)});
  return {};
}

int LmdbBuilder::AppendRecords() {
  // Of several with one key the last added counts, as it does when they are published.
  std::ranges::stable_sort(records_, {}, &Record::key);
  auto last = std::unique(records_.rbegin(), records_.rend(),
                          [](const Record& a, const Record& b) { return a.key == b.key; });
  records_.erase(records_.begin(), last.base());
  Bytes row;
  Bytes head = ChainHeadKey();
  std::uint64_t first = records_.empty() ? 0 : lmdb_->sealer().Link(records_.front().key);
  EncodeRecordRow(lmdb_->sealer(), head, {.link = first, .pack = kNoPack, .value = {}}, &row);
  int rc = Begin();
  MDB_val k = Val(head);
  MDB_val v = Val(row);
  if (rc == 0) rc = mdb_put(txn_, lmdb_->table(kRecords), &k, &v, 0);
  for (std::size_t i = 0; rc == 0 && i < records_.size(); ++i) {
    const Record& record = records_[i];
    std::uint64_t link = i + 1 < records_.size() ? lmdb_->sealer().Link(records_[i + 1].key) : 0;
    EncodeRecordRow(lmdb_->sealer(), record.key,
                    {.link = link, .pack = record.pack, .value = record.value}, &row);
    rc = Append(kRecords, record.key, row);
  }
  return rc;
}

int LmdbBuilder::AppendPacks(const std::vector<PackCoverage>& packs) {
  std::vector<const PackCoverage*> by_id;
  std::vector<std::pair<std::uint32_t, const PackCoverage*>> by_number;
  for (const PackCoverage& pack : packs) {
    by_id.push_back(&pack);
    by_number.emplace_back(NumberOf(pack.pack_id), &pack);
  }
  std::ranges::sort(by_id, {}, &PackCoverage::pack_id);
  std::ranges::sort(by_number);
  int rc = 0;
  for (std::size_t i = 0; rc == 0 && i < by_number.size(); ++i) {
    auto [number, pack] = by_number[i];
    rc = Append(kPacks, EncodePackKey(number), EncodePackRow(lmdb_->sealer(), number, *pack));
  }
  for (std::size_t i = 0; rc == 0 && i < by_id.size(); ++i) {
    ByteSpan id = IdSpan(by_id[i]->pack_id);
    rc = Append(kPackIds, id,
                EncodeNumberRow(lmdb_->sealer(), kPackIds, id, NumberOf(by_id[i]->pack_id)));
  }
  if (rc == 0) rc = Begin();
  if (rc != 0) return rc;
  Bytes row = EncodeNumberRow(lmdb_->sealer(), kMeta, NextPackKey(),
                              static_cast<std::uint32_t>(numbers_.size() + 1));
  MDB_val key = Val(NextPackKey());
  MDB_val value = Val(row);
  return mdb_put(txn_, lmdb_->table(kMeta), &key, &value, 0);
}

Status LmdbBuilder::Finish(const std::vector<PackCoverage>& packs) {
  int rc = lmdb_->Guarded([&] {
    int built = AppendRecords();
    if (built == 0) built = AppendPacks(packs);
    if (built == 0) built = Commit();
    return built == 0 ? mdb_env_sync(lmdb_->get(), 1) : built;
  });
  CKPT_RETURN_IF_ERROR(Failed(rc));
  lmdb_.reset();
  CKPT_RETURN_IF_ERROR(index_->Promote());
  lock_.reset();
  turn_.unlock();
  return {};
}

}  // namespace

Status LmdbIndex::Promote() {
  {
    CKPT_ASSIGN_OR_RETURN(auto lock, dir_->TryLock(kOpenLock, 10'000));
    if (lock == nullptr) return Busy("build index " + dir_->path() + ": a process holds open.lock");
    CKPT_ASSIGN_OR_RETURN(std::optional<Generation> current, dir_->Current());
    std::uint64_t number = current ? current->number + 1 : 1;
    CKPT_RETURN_IF_ERROR(dir_->PromoteBuild(number));
    dir_->RemoveAllBut(number);
  }
  CKPT_ASSIGN_OR_RETURN(bool open, Refresh(true));
  static_cast<void>(open);
  return {};
}

}  // namespace index_internal

Result<std::unique_ptr<IndexBuilder>> StartRebuild(const std::shared_ptr<Index>& lmdb_index) {
  using namespace index_internal;  // NOLINT: all of it
  auto index = std::dynamic_pointer_cast<LmdbIndex>(lmdb_index);
  if (index == nullptr) return InvalidArgument("build index: it is not in LMDB");
  std::unique_lock turn(index->publish_mutex(), std::try_to_lock);
  if (!turn.owns_lock()) return Busy("build index: this process is writing to it");
  CKPT_ASSIGN_OR_RETURN(auto lock, index->LockForWriting());
  if (lock == nullptr) return Busy("build index: another process is writing to it");
  auto builder = std::make_unique<LmdbBuilder>(std::move(index), std::move(turn), std::move(lock));
  CKPT_RETURN_IF_ERROR(builder->Start());
  return std::unique_ptr<IndexBuilder>(std::move(builder));
}

}  // namespace ckpt
