// Owners of LMDB's objects: one environment (a generation of the index, see lmdb_dir.h), its read
// transactions and its write transaction, and the gate that keeps map changes apart from them.
//
// LMDB's own rules are kept here: the map changes size only under the gate held exclusively; read
// transactions are pooled and renewed (MDB_NOTLS), never kept open between calls; an assertion
// inside LMDB becomes MDB_PANIC instead of an abort, and the environment is then never touched
// again (it is leaked). Inside store/index a plain int is an LMDB or errno code, 0 for success.
//
// Commits are MDB_NOMETASYNC: one fdatasync each, and a machine crash may undo the last commit but
// never breaks the file (pages of the commit before are not reused by the next). No MDB_WRITEMAP:
// on a full disk that would be SIGBUS.

#ifndef CKPT_STORE_INDEX_LMDB_ENV_H_
#define CKPT_STORE_INDEX_LMDB_ENV_H_

#include <lmdb.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "store/base/status.h"
#include "store/index/index_rows.h"

namespace ckpt::index_internal {

// A shared mutex on which a stream of readers cannot starve the writer.
class Gate {
 public:
  void lock_shared() {
    if (wanted_.load(std::memory_order_acquire)) std::lock_guard wait(turnstile_);
    mutex_.lock_shared();
  }
  void unlock_shared() { mutex_.unlock_shared(); }
  void lock() {
    turnstile_.lock();
    wanted_.store(true, std::memory_order_release);
    mutex_.lock();
  }
  void unlock() {
    wanted_.store(false, std::memory_order_release);
    mutex_.unlock();
    turnstile_.unlock();
  }

 private:
  std::shared_mutex mutex_;
  std::mutex turnstile_;
  std::atomic<bool> wanted_{false};
};

// True for codes that say the file or the environment cannot be trusted any more: LMDB's own
// findings, I/O errors, anything unexpected. Not for a full map, disk or reader table.
bool IsDamage(int rc);
Status LmdbStatus(int rc, const std::string& what);

inline ByteSpan Span(const MDB_val& value) {
  return {static_cast<const std::byte*>(value.mv_data), value.mv_size};
}
inline MDB_val Val(ByteSpan bytes) { return {bytes.size(), const_cast<std::byte*>(bytes.data())}; }

class LmdbEnv {
 public:
  struct Options {
    std::string path;  // of the data file
    std::uint64_t map_bytes = 64u << 20;
    unsigned readers_max = 1022;
    unsigned flags = 0;    // besides those every environment here has
    bool create = false;   // an empty environment with this identity
    IdentityRow identity;  // what must be found; its seed is used when creating
    // Runs its argument where LMDB's reader mutex may be taken (under open.lock), or answers
    // EAGAIN: a stopped process may hold that mutex.
    std::function<int(const std::function<int()>&)> claim;
  };
  // Opens and finds the tables. The caller has checked the file (lmdb_dir.h).
  static int Open(const Options& options, std::unique_ptr<LmdbEnv>* env);
  // REQUIRES: no transaction in use.
  ~LmdbEnv();
  LmdbEnv(const LmdbEnv&) = delete;
  LmdbEnv& operator=(const LmdbEnv&) = delete;

  MDB_env* get() const { return env_; }
  MDB_dbi table(Table table) const { return tables_[table]; }
  const RowSealer& sealer() const { return sealer_; }

  // After an assertion inside LMDB.
  bool abandoned() const { return abandoned_.load(std::memory_order_relaxed); }
  // Frees the slots of dead readers and answers the processes of the rest.
  int CheckReaders(std::set<long>* alive);

  // REQUIRES: the gate is held exclusively. Grow doubles; Adopt takes another process's size.
  // After a failure there is no map: only to be closed.
  int GrowMap();
  int AdoptMap();
  // Bytes the file needs for the newest committed state.
  std::uint64_t UsedBytes() const;

  // Runs `fn` so that LMDB's assertions become MDB_PANIC, and want of memory ENOMEM.
  template <typename F>
  int Guarded(F&& fn) {
    if (abandoned()) return MDB_PANIC;
    try {
      return fn();
    } catch (const Assertion&) {
      return MDB_PANIC;
    } catch (const std::bad_alloc&) {  // a transaction left open would stop everybody
      return ENOMEM;
    }
  }

  // Never to be touched again: the destructor leaks it.
  void Abandon() { abandoned_.store(true, std::memory_order_relaxed); }

  // A renewed read transaction for one call. EAGAIN or MDB_READERS_FULL: no reader slot is to be
  // had now. REQUIRES: the gate is held shared.
  template <typename F>
  int Read(F&& fn) {
    MDB_txn* txn = nullptr;
    int rc = AcquireReader(&txn);
    if (rc != 0) return rc;
    rc = Guarded([&] {
      int renewed = mdb_txn_renew(txn);
      return renewed != 0 ? renewed : fn(txn);
    });
    ReleaseReader(txn, rc);
    return rc;
  }
  // One write transaction: committed when fn answers 0. REQUIRES: the gate is held shared.
  int Write(const std::function<int(MDB_txn*)>& fn);

 private:
  struct Assertion {};
  static constexpr std::size_t kReadersHere = 16;  // slots of this process at most

  LmdbEnv() = default;
  int OpenFile(const Options& options);
  int OpenTables(const Options& options);
  int FillTables(MDB_txn* txn, const Options& options);
  int AcquireReader(MDB_txn** txn);
  void ReleaseReader(MDB_txn* txn, int rc);

  MDB_env* env_ = nullptr;
  std::array<MDB_dbi, kTables> tables_{};
  RowSealer sealer_;
  std::atomic<bool> abandoned_{false};
  std::function<int(const std::function<int()>&)> claim_;

  std::mutex readers_mutex_;  // guards what follows
  std::condition_variable reader_free_;
  std::vector<MDB_txn*> free_readers_;
  std::size_t readers_ = 0;
};

// A cursor of one transaction.
class Cursor {
 public:
  Cursor() = default;
  ~Cursor() { Close(); }
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  int Open(LmdbEnv* env, MDB_txn* txn, Table table) {
    env_ = env;
    return mdb_cursor_open(txn, env->table(table), &cursor_);
  }
  void Close() {
    if (cursor_ != nullptr && !env_->abandoned()) mdb_cursor_close(cursor_);
    cursor_ = nullptr;
  }
  // Positions and reads; `key` is used and updated.
  int Get(MDB_cursor_op op) { return mdb_cursor_get(cursor_, &key, &value, op); }
  int Seek(ByteSpan at) {
    key = Val(at);
    return Get(MDB_SET_RANGE);
  }

  MDB_val key{};
  MDB_val value{};

 private:
  LmdbEnv* env_ = nullptr;
  MDB_cursor* cursor_ = nullptr;
};

}  // namespace ckpt::index_internal

#endif  // CKPT_STORE_INDEX_LMDB_ENV_H_
