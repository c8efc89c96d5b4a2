#include "store/index/lmdb_env.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "store/io/unique_fd.h"

namespace ckpt::index_internal {

bool IsDamage(int rc) {
  switch (rc) {
    case 0:
    case MDB_MAP_FULL:
    case MDB_MAP_RESIZED:
    case MDB_READERS_FULL:
    case EAGAIN:
    case EBUSY:
    case EINTR:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOSPC:
    case EDQUOT:
    case EACCES:
    case EPERM:
    case EROFS:
      return false;
    default:
      return true;
  }
}

Status LmdbStatus(int rc, const std::string& what) {
  if (rc > 0) return ErrnoStatus(rc, what);
  std::string message = what + ": " + mdb_strerror(rc);
  if (rc == MDB_READERS_FULL || rc == MDB_MAP_RESIZED) return Busy(message);
  if (rc == MDB_MAP_FULL) return OutOfMemory(message);
  return Corruption(message + "; the index is made anew");
}

int LmdbEnv::Open(const Options& options, std::unique_ptr<LmdbEnv>* env) {
  std::unique_ptr<LmdbEnv> made(new LmdbEnv);
  made->claim_ = options.claim;
  int rc = made->OpenFile(options);
  if (rc == 0) rc = made->Guarded([&] { return made->OpenTables(options); });
  if (rc == 0) *env = std::move(made);
  return rc;
}

int LmdbEnv::OpenFile(const Options& options) {
  free_readers_.reserve(kReadersHere);  // giving one back needs no memory
  int rc = mdb_env_create(&env_);
  if (rc != 0) return rc;
  mdb_env_set_userctx(env_, this);
  mdb_env_set_assert(env_, [](MDB_env* env, const char*) {
    static_cast<LmdbEnv*>(mdb_env_get_userctx(env))->Abandon();
    throw Assertion{};
  });
  rc = mdb_env_set_maxdbs(env_, kTables);
  if (rc == 0) rc = mdb_env_set_maxreaders(env_, options.readers_max);
  if (rc == 0) rc = mdb_env_set_mapsize(env_, options.map_bytes);
  if (rc != 0) return rc;
  constexpr unsigned kFlags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NOMETASYNC;
  const StandardFiller filler;
  return Guarded(
      [&] { return mdb_env_open(env_, options.path.c_str(), kFlags | options.flags, 0600); });
}

// However it ends, by want of memory too, no transaction is left: closed with one, the environment
// would take its locked mutex along, and the thread's next transaction trip over where that was.
int LmdbEnv::OpenTables(const Options& options) {
  MDB_txn* txn = nullptr;
  int rc = mdb_txn_begin(env_, nullptr, options.create ? 0 : MDB_RDONLY, &txn);
  if (rc != 0) return rc;
  rc = Guarded([&] {
    int opened = 0;
    for (unsigned i = 0; i < kTables && opened == 0; ++i) {
      opened = mdb_dbi_open(txn, kTableNames[i], options.create ? MDB_CREATE : 0, &tables_[i]);
    }
    return opened == 0 ? FillTables(txn, options) : opened;
  });
  if (rc == 0) return mdb_txn_commit(txn);  // a read transaction's too: that keeps the handles
  int aborted = Guarded([&] {
    mdb_txn_abort(txn);
    return 0;
  });
  return aborted != 0 ? aborted : rc;
}

int LmdbEnv::FillTables(MDB_txn* txn, const Options& options) {
  MDB_val key = Val(IdentityKey());
  MDB_val value{};
  IdentityRow identity = options.identity;
  if (!options.create) {
    int rc = mdb_get(txn, table(kMeta), &key, &value);
    if (rc != 0) return rc;
    IdentityRow found;
    if (!DecodeIdentity(Span(value), &found)) return MDB_CORRUPTED;
    if (found.schema != kSchema || found.store_uuid != identity.store_uuid ||
        found.host != identity.host) {
      return MDB_VERSION_MISMATCH;
    }
    sealer_ = RowSealer(found.seed);
    return 0;
  }
  sealer_ = RowSealer(identity.seed);
  Bytes row = EncodeIdentity(identity);
  value = Val(row);
  int rc = mdb_put(txn, table(kMeta), &key, &value, 0);
  if (rc != 0) return rc;
  Bytes head = ChainHeadKey();
  EncodeRecordRow(sealer_, head, {.link = 0, .pack = kNoPack, .value = {}}, &row);
  key = Val(head);
  value = Val(row);
  return mdb_put(txn, table(kRecords), &key, &value, 0);
}

LmdbEnv::~LmdbEnv() {
  if (env_ == nullptr || abandoned()) return;
  int rc = Guarded([&] {
    for (MDB_txn* txn : free_readers_) mdb_txn_abort(txn);
    mdb_env_close(env_);
    return 0;
  });
  static_cast<void>(rc);
}

int LmdbEnv::CheckReaders(std::set<long>* alive) {
  int dead = 0;
  int rc = mdb_reader_check(env_, &dead);
  if (rc != 0) return rc;
  // Lines of "pid thread txnid"; the heading line yields no number.
  auto line = [](const char* text, void* context) {
    char* end = nullptr;
    long pid = std::strtol(text, &end, 10);
    if (end != text) static_cast<std::set<long>*>(context)->insert(pid);
    return 0;
  };
  rc = mdb_reader_list(env_, line, alive);
  return rc < 0 ? rc : 0;
}

int LmdbEnv::GrowMap() {
  MDB_envinfo info;
  int rc = mdb_env_info(env_, &info);
  if (rc != 0) return rc;
  rc = mdb_env_set_mapsize(env_, info.me_mapsize * 2);
  if (rc != ENOMEM) return rc;
  // Address space is limited (ulimit -v), and the old map is gone: a smaller step, or none.
  return mdb_env_set_mapsize(env_, info.me_mapsize + (info.me_mapsize >> 3));
}

int LmdbEnv::AdoptMap() { return mdb_env_set_mapsize(env_, 0); }

std::uint64_t LmdbEnv::UsedBytes() const {
  MDB_envinfo info;
  MDB_stat stat;
  if (mdb_env_info(env_, &info) != 0 || mdb_env_stat(env_, &stat) != 0) return 0;
  return (info.me_last_pgno + 1) * stat.ms_psize;
}

int LmdbEnv::AcquireReader(MDB_txn** txn) {
  std::unique_lock lock(readers_mutex_);
  while (free_readers_.empty()) {
    if (readers_ < kReadersHere) {
      int rc = claim_([&] {
        return Guarded([&] {
          int begun = mdb_txn_begin(env_, nullptr, MDB_RDONLY, txn);
          if (begun == 0) mdb_txn_reset(*txn);
          return begun;
        });
      });
      if (rc == 0) {
        ++readers_;
        return 0;
      }
      if (readers_ == 0) return rc;
    }
    reader_free_.wait(lock);
  }
  *txn = free_readers_.back();
  free_readers_.pop_back();
  return 0;
}

void LmdbEnv::ReleaseReader(MDB_txn* txn, int rc) {
  bool usable = !abandoned();
  if (usable) {
    int reset = Guarded([&] {
      mdb_txn_reset(txn);  // harmless for one that could not be renewed
      return 0;
    });
    usable = reset == 0 && rc != MDB_BAD_RSLOT;
  }
  std::lock_guard lock(readers_mutex_);
  if (usable) {
    free_readers_.push_back(txn);
  } else {
    --readers_;
  }
  reader_free_.notify_one();
}

int LmdbEnv::Write(const std::function<int(MDB_txn*)>& fn) {
  MDB_txn* txn = nullptr;
  int rc = Guarded([&] { return mdb_txn_begin(env_, nullptr, 0, &txn); });
  if (rc != 0) return rc;
  rc = Guarded([&] { return fn(txn); });
  if (rc == 0) return Guarded([&] { return mdb_txn_commit(txn); });
  int aborted = Guarded([&] {
    mdb_txn_abort(txn);
    return 0;
  });
  return aborted != 0 ? aborted : rc;
}

}  // namespace ckpt::index_internal
