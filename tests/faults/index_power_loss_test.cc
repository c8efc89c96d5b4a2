// The power goes at any moment while LMDB's file changes, or is made anew: what was not synced of
// it is lost, in part, or torn. Whoever opens the store next finds everything, and the next save
// works. Packs are as they are in the end: an index may be behind them, never ahead
// (power_loss_index_test.cc has the packs).
//
// $CKPT_PROOF_STATES as in power_loss_test.cc: set, every change is followed by each loss of one
// write and by as many others as a tenth of it; else (short form) some changes by a few.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>

#include "tests/faults/calls.h"
#include "tests/faults/tape.h"

namespace ckpt::faults {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kChildSeconds = 60;  // more is a hang
constexpr std::uint64_t kRandomShort = 2;
constexpr std::size_t kPageBytes = 4096;  // LMDB's
#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kPointsShort = 3;
#else
constexpr std::size_t kPointsShort = 8;
#endif

// 0: the short form.
std::uint64_t RandomLosses() {
  const char* text = std::getenv("CKPT_PROOF_STATES");
  return text == nullptr ? 0 : std::max<std::uint64_t>(1, std::strtoull(text, nullptr, 10) / 10);
}

// Where its .mdb file is.
std::string IndexOf(const std::string& store) {
  for (const auto& at : fs::recursive_directory_iterator(store + "/index")) {
    if (at.path().extension() == ".mdb") return at.path().parent_path();
  }
  return "";
}

std::string NewestOf(const std::string& index) {
  std::string newest;
  for (const auto& at : fs::directory_iterator(index)) {
    const std::string name = at.path().filename();
    if (at.path().extension() == ".mdb" && name != "build.mdb") newest = std::max(newest, name);
  }
  return newest;
}

std::vector<Loss> LossesOf(const Tape& tape, std::size_t n) {
  std::vector<Loss> losses = {{Loss::kNothing}, {Loss::kAll}};
  const std::uint64_t random = RandomLosses();
  for (std::size_t which = 0; random != 0 && which < tape.Pending(n); ++which) {
    losses.push_back({Loss::kOne, which, 0});
    losses.push_back({Loss::kAllButOne, which, 0});
  }
  if (tape.Pending(n) == 0) return losses;
  for (std::uint64_t i = 0; i < (random == 0 ? kRandomShort : random); ++i) {
    losses.push_back({Loss::kRandom, 0, 1 + n * 7919 + i});
  }
  return losses;
}

class IndexPowerLoss : public ::testing::TestWithParam<std::string> {
 protected:
  const Operation& TheOperation() const {
    const auto& all = Operations();
    const auto found = std::ranges::find(all, GetParam(), &Operation::name);
    if (found == all.end()) std::abort();
    return *found;
  }

  // The store after the operation, and all that its index went through.
  void Run() {
    store_ = fixtures_.Prepare(TheOperation());
    index_ = IndexOf(store_);
    ASSERT_FALSE(index_.empty());
    tape_ = std::make_unique<Tape>(index_);
    outcome_ = TheOperation().run(store_);
    tape_->Stop();
    ASSERT_EQ(outcome_.code, CKPT_OK) << outcome_.message;
    ASSERT_GE(tape_->size(), 3u);
    used_ = fs::path(store_).parent_path();
    after_ = used_ + "-after";
    fs::copy(used_, after_, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  }

  // What is wrong then; "" when nothing is. Where the locks' files say that somebody died while it
  // wrote, the index is made anew whatever there is of it: every other time they say nothing.
  std::string Try(std::size_t n, const Loss& loss) {
    fs::remove_all(used_);
    fs::copy(after_, used_, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    Files files = tape_->Lost(n, loss);
    const bool silent = ++states_ % 2 == 0;
    if (silent) std::erase_if(files, [](const auto& at) { return at.first.ends_with(".lock"); });
    WriteFiles(files, index_);
    const std::string newest = NewestOf(index_);
    // One that was growing, and ends within a page, is given up unread.
    const bool torn = std::any_of(files.begin(), files.end(), [](const auto& at) {
      return at.first.ends_with(".mdb") && at.second.size() % kPageBytes != 0;
    });
    std::string wrong = InAChild();
    if (silent && !torn && newest != NewestOf(index_)) ++made_anew_;
    return wrong;
  }

  void TryAll() {
    const std::size_t points = tape_->size() + 1;
    const std::size_t stride =
        RandomLosses() != 0 ? 1 : std::max<std::size_t>(1, points / kPointsShort);
    for (std::size_t n = 0; n < points; n += stride) TryPoint(n);
  }

  void TryPoint(std::size_t n) {
    for (const Loss& loss : LossesOf(*tape_, n)) {
      const std::string wrong = Try(n, loss);
      if (wrong.empty() || ++wrong_ > 1) continue;
      first_wrong_ = "after change " + std::to_string(n) + ", loss " + std::to_string(loss.kind) +
                     " " + std::to_string(loss.which) + " " + std::to_string(loss.seed) + ": " +
                     wrong;
    }
  }

  // What Fixtures::Wrong answers. LMDB may end the process that looks.
  std::string InAChild() {
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    const pid_t child = fork();
    if (child == 0) {
      for (int number : {SIGSEGV, SIGBUS, SIGABRT}) signal(number, SIG_DFL);
      alarm(kChildSeconds);
      const std::string wrong = fixtures_.Wrong(TheOperation(), outcome_);
      (void)!write(ends[1], wrong.data(), wrong.size());
      _exit(0);
    }
    close(ends[1]);
    std::string wrong;
    char part[4096];
    for (ssize_t got = 0; (got = read(ends[0], part, sizeof(part))) > 0;) {
      wrong.append(part, static_cast<std::size_t>(got));
    }
    close(ends[0]);
    int status = 0;
    if (waitpid(child, &status, 0) != child) std::abort();
    if (!WIFSIGNALED(status)) return wrong;
    ++crashes_;
    return "ended by signal " + std::to_string(WTERMSIG(status));
  }

  Fixtures fixtures_;
  std::string store_, index_, used_, after_;
  std::unique_ptr<Tape> tape_;
  Outcome outcome_;
  std::uint64_t states_ = 0, wrong_ = 0, crashes_ = 0, made_anew_ = 0;
  std::string first_wrong_;
};

TEST_P(IndexPowerLoss, LeavesNothingThatIsNotFound) {
  Run();
  TryAll();
  EXPECT_EQ(wrong_, 0u) << first_wrong_;
  // LMDB's file is sound by itself. One from before a collection knows packs that are gone, though,
  // and a new one may have nothing yet.
  if (GetParam() != "gc" && GetParam() != "reindex") {
    EXPECT_EQ(made_anew_, 0u);
  }
  std::cout << "proof: index, " << GetParam() << ": " << states_ << " states, " << wrong_
            << " wrong, " << made_anew_ << " made anew\n";
}

// What the rest rests upon: where syncs do nothing, files are left that LMDB crashes on, or that
// are made anew.
class IndexOnADiskThatLies : public IndexPowerLoss {};
TEST_P(IndexOnADiskThatLies, IsFoundOut) {
  Run();
  tape_->IgnoreSyncs();
  TryAll();
  for (std::size_t n = 0; n <= tape_->size() && crashes_ + made_anew_ == 0; ++n) TryPoint(n);
  EXPECT_GT(crashes_ + made_anew_, 0u);
  EXPECT_EQ(wrong_, crashes_) << first_wrong_;
}

std::string NameOf(const ::testing::TestParamInfo<std::string>& name) {
  std::string text = name.param;
  std::erase(text, ' ');
  return text;
}

INSTANTIATE_TEST_SUITE_P(While, IndexPowerLoss,
                         ::testing::Values("save twice", "rm", "gc", "repair", "reindex",
                                           "session"),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(While, IndexOnADiskThatLies, ::testing::Values("save twice", "reindex"),
                         NameOf);

}  // namespace
}  // namespace ckpt::faults
