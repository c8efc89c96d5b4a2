// LMDB's functions, as far as store/index calls them, replaced by ones that fail on demand: they
// have done nothing then. Or the row that is read has a flipped bit, or an assertion inside LMDB
// fails, which our handler ends by an exception.

#include <dlfcn.h>
#include <lmdb.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "tests/faults/fault_points.h"

namespace ckpt::faults {
namespace {

MDB_assert_func* told = nullptr;  // who is told of assertions
std::atomic<MDB_env*> given_up{nullptr};

template <typename Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

// `env` where the call looks at pages, which assertions are about.
int Failure(const char* name, MDB_env* env = nullptr) {
  if (!Hit(Site::kIndexCalls, name)) return 0;
  if (Armed().error != kAssertion) return Armed().error;
  if (env == nullptr) return MDB_PANIC;
  given_up = env;
  told(env, name);
  std::abort();  // it goes on as if nothing were wrong
}

// What an assertion found wrong is not touched again.
void MustNotBeGivenUp(MDB_env* env) {
  if (env == given_up) std::abort();
}

// `value` is not LMDB's own any more, but a copy that is true but for one bit.
int Read(int rc, const char* name, MDB_val* value) {
  if (rc != 0 || value->mv_size == 0 || !Hit(Site::kIndexRows, name)) return rc;
  thread_local std::vector<std::uint8_t> flipped;
  const auto* bytes = static_cast<const std::uint8_t*>(value->mv_data);
  flipped.assign(bytes, bytes + value->mv_size);
  flipped[Armed().first % flipped.size()] ^= 4;
  value->mv_data = flipped.data();
  return 0;
}

}  // namespace
}  // namespace ckpt::faults

using namespace ckpt::faults;  // NOLINT: so that the table below can be read

#define CKPT_FAILING(name, env, parameters, arguments)     \
  extern "C" int name parameters {                         \
    static auto* const next = Next<int parameters>(#name); \
    const int failed = Failure(#name, env);                \
    return failed != 0 ? failed : next arguments;          \
  }

// clang-format off
CKPT_FAILING(mdb_env_create, nullptr, (MDB_env** env), (env))
CKPT_FAILING(mdb_env_open, nullptr, (MDB_env* env, const char* path, unsigned flags, mdb_mode_t mode), (env, path, flags, mode))
CKPT_FAILING(mdb_env_set_maxdbs, nullptr, (MDB_env* env, MDB_dbi tables), (env, tables))
CKPT_FAILING(mdb_env_set_maxreaders, nullptr, (MDB_env* env, unsigned readers), (env, readers))
CKPT_FAILING(mdb_env_set_mapsize, nullptr, (MDB_env* env, size_t bytes), (env, bytes))
CKPT_FAILING(mdb_env_info, nullptr, (MDB_env* env, MDB_envinfo* info), (env, info))
CKPT_FAILING(mdb_env_stat, nullptr, (MDB_env* env, MDB_stat* stat), (env, stat))
CKPT_FAILING(mdb_env_sync, nullptr, (MDB_env* env, int force), (env, force))
CKPT_FAILING(mdb_reader_check, nullptr, (MDB_env* env, int* dead), (env, dead))
CKPT_FAILING(mdb_txn_begin, nullptr, (MDB_env* env, MDB_txn* parent, unsigned flags, MDB_txn** txn), (env, parent, flags, txn))
CKPT_FAILING(mdb_txn_renew, nullptr, (MDB_txn* txn), (txn))
CKPT_FAILING(mdb_dbi_open, mdb_txn_env(txn), (MDB_txn* txn, const char* name, unsigned flags, MDB_dbi* table), (txn, name, flags, table))
CKPT_FAILING(mdb_stat, nullptr, (MDB_txn* txn, MDB_dbi table, MDB_stat* stat), (txn, table, stat))
CKPT_FAILING(mdb_put, mdb_txn_env(txn), (MDB_txn* txn, MDB_dbi table, MDB_val* key, MDB_val* value, unsigned flags), (txn, table, key, value, flags))
CKPT_FAILING(mdb_del, mdb_txn_env(txn), (MDB_txn* txn, MDB_dbi table, MDB_val* key, MDB_val* value), (txn, table, key, value))
CKPT_FAILING(mdb_cursor_open, nullptr, (MDB_txn* txn, MDB_dbi table, MDB_cursor** cursor), (txn, table, cursor))
// clang-format on

// Answers a negative number where it fails.
extern "C" int mdb_reader_list(MDB_env* env, MDB_msg_func* line, void* context) {
  static auto* const next = Next<int(MDB_env*, MDB_msg_func*, void*)>("mdb_reader_list");
  const int failed = Failure("mdb_reader_list");
  return failed != 0 ? -1 : next(env, line, context);
}

extern "C" int mdb_env_set_assert(MDB_env* env, MDB_assert_func* function) {
  static auto* const next = Next<int(MDB_env*, MDB_assert_func*)>("mdb_env_set_assert");
  told = function;
  return next(env, function);
}

// Whatever it answers, there is no transaction afterwards.
extern "C" int mdb_txn_commit(MDB_txn* txn) {
  static auto* const commit = Next<int(MDB_txn*)>("mdb_txn_commit");
  const int failed = Failure("mdb_txn_commit", mdb_txn_env(txn));
  if (failed == 0) return commit(txn);
  mdb_txn_abort(txn);
  return failed;
}

extern "C" int mdb_get(MDB_txn* txn, MDB_dbi table, MDB_val* key, MDB_val* value) {
  static auto* const next = Next<int(MDB_txn*, MDB_dbi, MDB_val*, MDB_val*)>("mdb_get");
  const int failed = Failure("mdb_get", mdb_txn_env(txn));
  return failed != 0 ? failed : Read(next(txn, table, key, value), "mdb_get", value);
}

extern "C" int mdb_cursor_get(MDB_cursor* cursor, MDB_val* key, MDB_val* value, MDB_cursor_op op) {
  using Function = int(MDB_cursor*, MDB_val*, MDB_val*, MDB_cursor_op);
  static auto* const next = Next<Function>("mdb_cursor_get");
  const int failed = Failure("mdb_cursor_get", mdb_txn_env(mdb_cursor_txn(cursor)));
  return failed != 0 ? failed : Read(next(cursor, key, value, op), "mdb_cursor_get", value);
}

extern "C" void mdb_txn_abort(MDB_txn* txn) {
  static auto* const next = Next<void(MDB_txn*)>("mdb_txn_abort");
  MustNotBeGivenUp(mdb_txn_env(txn));
  next(txn);
}

extern "C" void mdb_env_close(MDB_env* env) {
  static auto* const next = Next<void(MDB_env*)>("mdb_env_close");
  MustNotBeGivenUp(env);
  next(env);
}
