// Every call into LMDB that an operation makes fails, once and for good, with each of LMDB's errors
// and with a failed assertion inside it; and each row that is read has a flipped bit. What is in
// the packs counts: the operation succeeds without the index, or says what is wrong, everything
// acknowledged is there, and the next save works. How many of them: tests/faults/sweep.h.

#include <gtest/gtest.h>
#include <lmdb.h>

#include <cerrno>

#include "tests/faults/sweep.h"

// An index in which an assertion failed is not touched again, and a call that is made to fail does
// not give back what LMDB's own would: what LMDB allocated then is no leak of ours.
extern "C" __attribute__((visibility("default"), used)) const char* __lsan_default_suppressions();
const char* __lsan_default_suppressions() { return "leak:liblmdb\n"; }

namespace ckpt::faults {
namespace {

constexpr Failure kFailures[] = {
    {"MDB_CORRUPTED", MDB_CORRUPTED},
    {"MDB_CORRUPTED for good", MDB_CORRUPTED, true},
    {"MDB_MAP_FULL", MDB_MAP_FULL},
    {"MDB_MAP_FULL for good", MDB_MAP_FULL, true},
    {"MDB_MAP_RESIZED", MDB_MAP_RESIZED},
    {"MDB_READERS_FULL for good", MDB_READERS_FULL, true},
    {"MDB_BAD_RSLOT", MDB_BAD_RSLOT},
    {"MDB_PAGE_NOTFOUND", MDB_PAGE_NOTFOUND},
    {"EIO", EIO},
    {"EIO for good", EIO, true},
    {"ENOMEM for good", ENOMEM, true},
    {"ENOSPC", ENOSPC},
    {"EBUSY", EBUSY},
    {"EMFILE for good", EMFILE, true},
    {"ENFILE", ENFILE},
    {"EACCES for good", EACCES, true},
    {"EPERM", EPERM},
    {"EROFS", EROFS},
    {"a failed assertion", kAssertion},
};
constexpr Failure kFlip[] = {{"a flipped bit"}};

class FailedIndex : public SweepTest {
  std::string Judge(const Failure&, const Outcome& outcome) override {
    if (outcome.code == CKPT_OK) return "";
    // Who asks for an index is told that there is none.
    if (!GetParam().fails_easily) return "fails: " + outcome.message;
    const bool clear = outcome.code != CKPT_INTERNAL && !outcome.message.empty();
    return clear ? "" : "is not clear: " + outcome.message;
  }
  bool GivesBack(const Failure& failure) override { return failure.error != kAssertion; }
};

INSTANTIATE_TEST_SUITE_P(All, FailedIndex, ::testing::ValuesIn(Operations()), NameOf);

TEST_P(FailedIndex, LosesNothing) { Sweep(Site::kIndexCalls, kFailures, "calls of the index"); }

TEST_P(FailedIndex, FlippedRowsAreFound) { Sweep(Site::kIndexRows, kFlip, "rows of the index"); }

}  // namespace
}  // namespace ckpt::faults
