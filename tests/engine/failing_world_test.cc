// Whatever users do to a store, however it was left before, while one call of the system's fails,
// or all from one on: the answer is an answer, and afterwards what was acknowledged is there,
// nothing new is damaged and the next save works. Also while disks lie: bytes that are read wrong,
// files that are not there just then. After such lies only the next save is asked for.
//
// $CKPT_PROOF_CALLS: "all": every call fails in every way; "each": every third; else a few.

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <set>

#include "store/engine/check.h"
#include "store/engine/verify.h"
#include "tests/engine/collect_fixture.h"
#include "tests/support/world_works.h"

namespace ckpt {
namespace {

using world_works::Open;
using world_works::WorldStore;
using world_works::WorldWork;
using Mode = OpenStoreOptions::Mode;

enum class Lie : std::uint8_t { kNone, kBytes, kIndex, kIndexAnew, kEnough };

struct WorldFailure {
  const char* name;
  SimOp kind;
  int error;
  bool for_good = false;
  Lie lie = Lie::kNone;
  bool honest = true;
};

constexpr WorldFailure kWorldFailures[] = {
    {"a change fails", SimOp::kAny, EIO},
    {"changes fail", SimOp::kAny, EIO, true},
    {"the disk is full", SimOp::kAny, ENOSPC, true},
    {"a read fails", SimOp::kRead, EIO},
    {"reads fail", SimOp::kRead, EIO, true},
    {"an opening fails", SimOp::kOpen, EIO},
    {"openings are denied", SimOp::kOpen, EACCES, true},
    {"a lock fails", SimOp::kLock, EIO},
    {"the index fails once", SimOp::kCount, EIO, false, Lie::kIndex},
    {"the index fails", SimOp::kCount, EIO, true, Lie::kIndex},
    {"others made the index anew", SimOp::kCount, EIO, true, Lie::kIndexAnew},
    {"it is told to stop", SimOp::kCount, 0, false, Lie::kEnough},
    {"a name is not there", SimOp::kOpen, ENOENT, false, Lie::kNone, false},
    {"bytes are read wrong", SimOp::kRead, 0, false, Lie::kBytes, false},
    {"bytes are read wrong always", SimOp::kRead, 0, true, Lie::kBytes, false},
};

// An index whose n-th call fails, or all from that one on; or which is another from then on.
class FailingIndex final : public Index {
 public:
  explicit FailingIndex(std::shared_ptr<Index> index) : index_(std::move(index)) {}
  void Fail(std::uint64_t n, bool for_good) { n_ = n, for_good_ = for_good, calls_ = 0; }
  // `told` is called at the n-th call.
  void MakeAnew(std::uint64_t n, std::function<void()> told) {
    anew_ = n, told_ = std::move(told), calls_ = 0;
  }
  std::uint64_t calls() const { return calls_; }

  Result<std::vector<PackCoverage>> Packs() override {
    CKPT_RETURN_IF_ERROR(Next());
    return index_->Packs();
  }
  std::uint64_t GenerationNumber() override {
    return index_->GenerationNumber() + (calls_ >= anew_ ? 1000 : 0);
  }
  Result<std::optional<ChunkPlace>> FindChunk(const Id128& id) override {
    CKPT_RETURN_IF_ERROR(Next());
    return index_->FindChunk(id);
  }
  Status ScanRecords(ByteSpan prefix, bool reverse, const RecordVisitor& fn) override {
    CKPT_RETURN_IF_ERROR(Next());
    return index_->ScanRecords(prefix, reverse, fn);
  }
  Result<bool> Publish(const IndexUpdate& update) override {
    CKPT_RETURN_IF_ERROR(Next());
    return index_->Publish(update);
  }
  Result<IndexStats> Stats() override {
    CKPT_RETURN_IF_ERROR(Next());
    return index_->Stats();
  }

 private:
  Status Next() {
    if (++calls_ == anew_) told_();
    const bool fails = for_good_ ? calls_ >= n_ : calls_ == n_;
    return fails ? IoError("simulated: the index cannot be read") : Status();
  }

  const std::shared_ptr<Index> index_;
  std::uint64_t n_ = UINT64_MAX;
  std::uint64_t anew_ = UINT64_MAX;
  std::uint64_t calls_ = 0;
  bool for_good_ = false;
  std::function<void()> told_;
};

// From the n-th read on: that one, or (`for_good`) every read of the same place.
void ReadWrong(SimWorld* world, std::uint64_t n, bool for_good) {
  struct State {
    std::uint64_t reads = 0;
    std::string path;
    std::uint64_t offset = 0;
  };
  SimLies lies;
  lies.reads = [n, for_good, state = std::make_shared<State>()](
                   const std::string& path, std::uint64_t offset, MutableByteSpan read) {
    const bool now = ++state->reads == n;
    if (now) state->path = path, state->offset = offset;
    const bool again =
        for_good && state->reads > n && state->path == path && state->offset == offset;
    if ((now || again) && !read.empty()) read[(n * 37) % read.size()] ^= std::byte{1};
  };
  world->set_lies(std::move(lies));
}

// A store, made once, and its index; each case has copies of its own.
struct Made {
  explicit Made(const WorldStore& store) : of(store), world(11) {
    collect_test::block_bytes = store.block_bytes;
    collect_test::similar_blocks = store.similar_blocks;
    world_works::large_bytes = store.large_bytes;
    world_works::index_in_use = indexes.Open(&world);
    store.make(&world);
    world_works::index_in_use = nullptr;
  }
  ~Made() {
    collect_test::block_bytes = 3000;
    collect_test::similar_blocks = false;
  }
  const WorldStore& of;
  SimWorld world;
  KeptIndexes indexes;
};

class Copy {
 public:
  explicit Copy(const Made& made)
      : world_(made.world.KillProcess()),
        indexes_(made.indexes.Until(made.indexes.updates())),
        index_(std::make_shared<FailingIndex>(indexes_.Open(world_.get()))) {
    world_works::index_in_use = index_;
  }
  ~Copy() { world_works::index_in_use = nullptr; }
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;

  void Arm(const WorldFailure& failure, std::uint64_t n) {
    world_works::reports = 0;
    world_works::enough_at = failure.lie == Lie::kEnough ? n : 0;
    index_->Fail(UINT64_MAX, false);
    if (failure.lie == Lie::kEnough) return;
    if (failure.lie == Lie::kIndex) return index_->Fail(n, failure.for_good);
    if (failure.lie == Lie::kIndexAnew) {
      // And the packs cannot be looked at.
      return index_->MakeAnew(n, [&failure, this] {
        const std::uint64_t next = world_->op_count(SimOp::kOpen) + 1;
        world_->FailOp(next, failure.error, failure.for_good, SimOp::kOpen);
      });
    }
    if (failure.lie == Lie::kBytes) return ReadWrong(world(), n, failure.for_good);
    world_->FailOp(n, failure.error, failure.for_good, failure.kind);
  }
  void Disarm() {
    index_->Fail(UINT64_MAX, false);
    index_->MakeAnew(UINT64_MAX, {});
    world_works::enough_at = 0;
    world_->ClearFaults();
    world_->clear_capacity();
    world_->set_lies({});
  }
  // Those that may fail in this way.
  std::uint64_t Calls(const WorldFailure& failure) const {
    const bool index = failure.lie == Lie::kIndex || failure.lie == Lie::kIndexAnew;
    if (failure.lie == Lie::kEnough) return world_works::reports;
    return index ? index_->calls() : world_->op_count(failure.kind);
  }
  SimWorld* world() { return world_.get(); }

 private:
  const std::unique_ptr<SimWorld> world_;
  KeptIndexes indexes_;
  const std::shared_ptr<FailingIndex> index_;
};

std::string VerifyNamed(Store* store, const std::string& name) {
  auto found = ResolveCheckpoint(store, name);
  const Status s = found.ok() ? VerifyCheckpoint(store, found->ranks) : found.status();
  return s.ok() ? "" : name + ": " + s.ToString();
}

// What does not hold afterwards; "" when all does.
std::string WrongAfter(Copy* copy, const Made& made, bool removes, bool honest) {
  const bool writable = std::string_view(made.of.name) != "without format";
  auto store = Open(copy->world(), writable ? Mode::kCreate : Mode::kRead);
  if (!store.ok()) return "opening: " + store.status().ToString();
  for (const std::string& name : made.of.sound) {
    const bool may_go = removes && (name.starts_with("run") || name.ends_with("@1"));
    if (!honest || may_go) continue;
    const std::string wrong = VerifyNamed(store->get(), name);
    if (!wrong.empty()) return wrong;
  }
  if (!writable) return "";
  const Status saved = collect_test::Save(store->get(), 90, true);
  if (!saved.ok()) return "the next save: " + saved.ToString();
  const std::string wrong = VerifyNamed(store->get(), "run@90");
  if (!wrong.empty() || !honest || made.of.damaged) return wrong;
  auto report = CheckStore(store->get(), CheckOptions());
  if (!report.ok()) return "check: " + report.status().ToString();
  return report->damage.empty() ? "" : "check found damage: " + report->damage.front().what;
}

// Of the calls that may fail in one way, one in so many does; which, is another for each work.
std::uint64_t Stride() {
  const char* text = std::getenv("CKPT_PROOF_CALLS");
  const std::string_view form = text == nullptr ? "" : text;
  if (form == "each") return 3;
  return form == "all" ? 1 : 131 * kSweepStride;
}

// How often the calls that may fail in each of these ways come, when none does.
std::vector<std::uint64_t> CountCalls(const Made& made, const WorldWork& work) {
  Copy copy(made);
  world_works::reports = 0;
  (void)work.run(copy.world()).ok();  // of what is damaged it may say so
  std::vector<std::uint64_t> calls;
  for (const WorldFailure& failure : kWorldFailures) calls.push_back(copy.Calls(failure));
  copy.Disarm();
  EXPECT_EQ(WrongAfter(&copy, made, work.removes, true), "") << work.name << ", undisturbed";
  return calls;
}

Status TryOne(const Made& made, const WorldWork& work, const WorldFailure& failure,
              std::uint64_t n) {
  Copy copy(made);
  copy.Arm(failure, n);
  const Status answer = work.run(copy.world());
  copy.Disarm();
  const std::string what = std::string(work.name) + ", " + failure.name + " (" + std::to_string(n) +
                           "), answered " + answer.ToString();
  EXPECT_NE(answer.code(), Code::kInternal) << what;
  EXPECT_EQ(WrongAfter(&copy, made, work.removes, failure.honest), "") << what;
  return answer;
}

// At the n-th call of a file or folder, by whichever thread, somebody else does something.
class JustThen final : public SimTurns {
 public:
  JustThen(SimWorld* world, std::uint64_t n, std::function<void()> what)
      : world_(world), n_(n), what_(std::move(what)) {
    world_->set_turns(this);
  }
  ~JustThen() override { world_->set_turns(nullptr); }
  void BeforeCall() override {
    if (++calls_ == n_) what_();
  }
  void AfterSleep() override {}
  std::uint64_t calls() const { return calls_; }

 private:
  SimWorld* const world_;
  const std::uint64_t n_;
  const std::function<void()> what_;
  std::atomic<std::uint64_t> calls_{0};
};

class FailingWorld : public ::testing::TestWithParam<WorldStore> {
 protected:
  void Try(const Made& made, const WorldWork& work) {
    const std::vector<std::uint64_t> calls = CountCalls(made, work);
    const std::uint64_t stride = Stride() * made.of.slower;
    for (std::size_t i = 0; i < calls.size() && !HasFailure(); ++i) {
      for (std::uint64_t n = 1 + offset_++ % stride; n <= calls[i]; n += stride) {
        ++cases_;
        refused_ += TryOne(made, work, kWorldFailures[i], n).ok() ? 0 : 1;
      }
    }
  }
  // What others do, at every so manieth call.
  void TryBeside(const Made& made, const WorldWork& work, const WorldWork& other) {
    const std::uint64_t stride = std::max<std::uint64_t>(3 * Stride(), 30) * made.of.slower;
    std::uint64_t calls = UINT64_MAX;  // until it ran once
    for (std::uint64_t n = 1 + offset_++ % stride; n <= calls && !HasFailure(); n += stride) {
      Copy copy(made);
      auto process = copy.world()->NewProcess();
      Status answer;
      {
        JustThen then(copy.world(), n, [&] { (void)other.run(process.get()).ok(); });
        answer = work.run(copy.world());
        calls = calls == UINT64_MAX ? then.calls() : std::max(calls, then.calls());
      }
      process->Kill();
      copy.Disarm();
      ++cases_;
      refused_ += answer.ok() ? 0 : 1;
      const std::string what = std::string(work.name) + ", beside " + other.name + " (" +
                               std::to_string(n) + "), answered " + answer.ToString();
      EXPECT_NE(answer.code(), Code::kInternal) << what;
      EXPECT_EQ(WrongAfter(&copy, made, work.removes || other.removes, true), "") << what;
    }
  }
  void PrintProof(const char* how) const {
    std::printf("proof: a store %s%s: %llu cases, %llu answered an error\n", GetParam().name, how,
                static_cast<unsigned long long>(cases_), static_cast<unsigned long long>(refused_));
  }

 private:
  std::uint64_t offset_ = 0, cases_ = 0, refused_ = 0;
};

std::string NameOfStore(const ::testing::TestParamInfo<WorldStore>& store) {
  std::string name = store.param.name;
  std::erase(name, ' ');
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, FailingWorld, ::testing::ValuesIn(world_works::WorldStores()),
                         NameOfStore);

TEST_P(FailingWorld, LosesNothingAndGoesOn) {
  const Made made(GetParam());
  for (const WorldWork& work : world_works::WorldWorks()) {
    if (!HasFailure()) Try(made, work);
  }
  PrintProof("");
}

TEST_P(FailingWorld, HasOthersInIt) {
  const Made made(GetParam());
  for (const WorldWork& other : world_works::WorksOfOthers()) {
    for (const WorldWork& work : world_works::WorldWorks()) {
      if (!HasFailure()) TryBeside(made, work, other);
    }
  }
  PrintProof(", others just then");
}

template <typename All>
const auto& Named(const All& all, std::string_view name) {
  for (const auto& one : all) {
    if (one.name == name) return one;
  }
  std::abort();
}

// A reserve that could not be read just once looked like garbage, was condemned, and was copied
// into all the same.
TEST(FailingReads, OfACollectionOnAFullDiskLoseNothing) {
  const Made made(Named(world_works::WorldStores(), "full disk"));
  const WorldWork& collect = Named(world_works::WorldWorks(), "collect");
  const WorldFailure& failure = Named(kWorldFailures, "a read fails");
  const std::uint64_t reads = CountCalls(made, collect)[3];
  EXPECT_GT(reads, 100u);
  for (std::uint64_t n = 1; n <= reads && !HasFailure(); n += 5 * kSweepStride) {
    (void)TryOne(made, collect, failure, n).ok();
  }
}

}  // namespace
}  // namespace ckpt
