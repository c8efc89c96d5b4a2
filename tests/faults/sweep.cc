#include "tests/faults/sweep.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>

#include "tests/support/sweep.h"

namespace ckpt::faults {
namespace {

constexpr unsigned kHangSeconds = 150;  // a creation waits 60 for another one
// Other threads' calls come a little earlier or later each time.
constexpr std::uint64_t kOutOfOrder = 50;

char running[256];  // the case, for the watchdog and for who aborts

void SayCase(int) { (void)!write(STDERR_FILENO, running, strlen(running)); }
void OnHang(int signal) {
  SayCase(signal);
  std::abort();
}

enum class Form : std::uint8_t { kShort, kEach, kSites, kAll };
Form FormWanted() {
  const char* text = std::getenv("CKPT_PROOF_CALLS");
  const std::string form = text == nullptr ? "" : text;
  if (form == "each") return Form::kEach;
  if (form == "sites") return Form::kSites;
  if (form == "all") return Form::kAll;
  EXPECT_EQ(form, "") << "of CKPT_PROOF_CALLS";
  return Form::kShort;
}

struct Case {
  std::uint64_t n;
  Noted call;
  const Failure* failure;
};

Plan PlanOf(Site site, const Failure& failure) {
  Plan plan;
  plan.site = site;
  plan.error = failure.error;
  plan.for_good = failure.for_good;
  plan.interrupts = site == Site::kCalls && failure.error == EINTR;
  plan.halves = failure.halves;
  return plan;
}

// By their numbers among all calls.
struct Place {
  std::uint64_t first, last;
};

// In order; without those that were met before.
std::vector<Place> PlacesOf(const std::vector<Noted>& calls, std::uint64_t Noted::*where,
                            const std::set<std::uint64_t>& met) {
  std::map<std::uint64_t, std::size_t> at;
  std::vector<Place> places;
  for (std::uint64_t n = 1; n <= calls.size(); ++n) {
    const std::uint64_t place = calls[n - 1].*where;
    if (met.contains(place)) continue;
    const auto [found, is_new] = at.emplace(place, places.size());
    if (is_new) places.push_back({n, n});
    places[found->second].last = n;
  }
  return places;
}

// What is tried of the calls of one operation.
class Cases {
 public:
  Cases(Site site, const std::vector<Noted>& calls, std::span<const Failure> failures)
      : site_(site), calls_(calls), failures_(failures) {}

  void AddEveryWay(std::uint64_t n) {
    for (const Failure& failure : failures_) {
      if (CanFail(n, failure)) cases_.push_back({n, calls_[n - 1], &failure});
    }
  }

  void AddFirstAndLast(const std::vector<Place>& places) {
    for (const Place& place : places) {
      AddEveryWay(place.first);
      if (place.last != place.first) AddEveryWay(place.last);
    }
  }

  void AddInTurns(const std::vector<Place>& places, std::uint64_t stride) {
    std::size_t turn = 0, taken = 0;
    for (const Place& place : places) {
      const std::uint64_t n = turn / failures_.size() % 2 == 0 ? place.first : place.last;
      const std::size_t end = turn + failures_.size();
      while (turn < end && !CanFail(n, failures_[turn % failures_.size()])) ++turn;
      if (turn == end) continue;  // in none of these ways
      const Failure& failure = failures_[turn++ % failures_.size()];
      if (taken++ % stride == 0) cases_.push_back({n, calls_[n - 1], &failure});
    }
  }

  const std::vector<Case>& get() const { return cases_; }

 private:
  bool CanFail(std::uint64_t n, const Failure& failure) const {
    return faults::CanFail(PlanOf(site_, failure), calls_[n - 1].name);
  }

  const Site site_;
  const std::vector<Noted>& calls_;
  const std::span<const Failure> failures_;
  std::vector<Case> cases_;
};

}  // namespace

Fixtures* SweepTest::fixtures = nullptr;

void SweepTest::SetUpTestSuite() {
  signal(SIGALRM, OnHang);
  signal(SIGABRT, SayCase);
  // An index that is given up after an assertion keeps its files open.
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  fixtures = new Fixtures;
}

void SweepTest::TearDownTestSuite() {
  signal(SIGABRT, SIG_DFL);
  delete fixtures;
  fixtures = nullptr;
}

SweepTest::~SweepTest() { alarm(0); }

std::vector<Noted> SweepTest::Count(const Operation& operation, Site site) {
  Plan plan;
  plan.site = site;
  plan.notes = true;
  const std::string store = fixtures->Prepare(operation);
  TestsOwn own;
  Arm(plan);
  const Outcome undisturbed = operation.run(store);
  Disarm();
  const std::vector<Noted> calls = NotedCalls();
  EXPECT_EQ(undisturbed.code, CKPT_OK) << operation.name << ": " << undisturbed.message;
  EXPECT_EQ(fixtures->Wrong(operation, undisturbed), "") << operation.name;
  return calls;
}

// Operations that come later ask for it again.
const std::vector<Noted>& SweepTest::CountOnce(const Operation& operation, Site site) {
  static std::map<std::pair<std::string, Site>, std::vector<Noted>> counted;
  std::vector<Noted>& calls = counted[{operation.name, site}];
  if (calls.empty()) calls = Count(operation, site);
  return calls;
}

// What is wrong with one case; "" when nothing is.
std::string SweepTest::Try(const Plan& plan, const Failure& failure) {
  const Operation& operation = GetParam();
  const std::string store = fixtures->Prepare(operation);
  const Held held = HeldNow();
  alarm(kHangSeconds);
  TestsOwn own;
  Arm(plan);
  const Outcome outcome = operation.run(store);
  Disarm();
  if (FirstFailed().empty()) return "";
  ++failed_;
  if (outcome.code != CKPT_OK) ++refused_;
  const std::string still = GivesBack(failure) ? StillHeld(held) : "";
  if (!still.empty()) return still;
  const std::string wrong = Judge(failure, outcome);
  return wrong.empty() ? fixtures->Wrong(operation, outcome) : wrong;
}

// Where it does not come by about when it came before, at whatever time it comes.
std::string SweepTest::TryPlace(Plan plan, const Failure& failure) {
  plan.first = plan.first > kOutOfOrder ? plan.first - kOutOfOrder : 1;
  std::string wrong = Try(plan, failure);
  if (FirstFailed().empty()) {
    plan.first = 1;
    wrong = Try(plan, failure);
  }
  if (FirstFailed().empty()) ++missed_;
  return wrong;
}

void SweepTest::Sweep(Site site, std::span<const Failure> failures, const char* what) {
  const Form form = FormWanted();
  const auto where = form == Form::kShort ? &Noted::near : &Noted::stack;
  std::set<std::uint64_t> met;
  for (const Operation& operation : Operations()) {
    if (operation.name == GetParam().name || form == Form::kAll) break;
    for (const Noted& call : CountOnce(operation, site)) met.insert(call.*where);
  }
  const std::vector<Noted>& calls = CountOnce(GetParam(), site);
  const std::vector<Place> places = PlacesOf(calls, where, met);
  Cases cases(site, calls, failures);
  if (form == Form::kShort) cases.AddInTurns(places, kSweepStride);
  if (form == Form::kEach) cases.AddInTurns(places, 1);
  if (form == Form::kSites) cases.AddFirstAndLast(places);
  for (std::uint64_t n = 1; form == Form::kAll && n <= calls.size(); ++n) cases.AddEveryWay(n);
  std::map<std::string, int> wrong;
  for (const Case& one : cases.get()) {
    snprintf(running, sizeof(running), "%s, %s, call %llu, %s\n", GetParam().name.c_str(),
             one.call.name, static_cast<unsigned long long>(one.n), one.failure->name);
    Plan plan = PlanOf(site, *one.failure);
    plan.first = one.n;
    if (form != Form::kAll) plan.stack = one.call.stack;
    const std::string found =
        form == Form::kAll ? Try(plan, *one.failure) : TryPlace(plan, *one.failure);
    if (found.empty()) continue;
    const std::string which = FirstFailed() + " (" + one.failure->name + "): " + found;
    if (++wrong[which] <= 1) ADD_FAILURE() << running << which;
  }
  EXPECT_LE(missed_, failed_ / 4 + 8) << "the same calls do not come again";
  EXPECT_GE(failed_ + missed_, cases.get().size()) << "cases were passed over";
  std::printf(
      "proof: %s: %zu %s, %zu places, %zu ways, %llu cases, %llu answered an error, %llu missed\n",
      GetParam().name.c_str(), calls.size(), what, places.size(), failures.size(),
      static_cast<unsigned long long>(failed_), static_cast<unsigned long long>(refused_),
      static_cast<unsigned long long>(missed_));
}

}  // namespace ckpt::faults
