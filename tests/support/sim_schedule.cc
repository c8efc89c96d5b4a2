#include "tests/support/sim_schedule.h"

#include <sys/mman.h>

#include <algorithm>

#include "store/base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace ckpt {
namespace {

constexpr std::size_t kStackBytes = 1u << 20;  // touched pages only are real
constexpr std::size_t kGuardBytes = 4096;

// Stacks are used again: a proof runs a million schedules.
std::vector<std::byte*>& FreeStacks() {
  static std::vector<std::byte*> stacks;
  return stacks;
}

std::byte* TakeStack() {
  std::vector<std::byte*>& free = FreeStacks();
  if (!free.empty()) {
    std::byte* stack = free.back();
    free.pop_back();
    return stack;
  }
  void* memory = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CKPT_CHECK(memory != MAP_FAILED, "a test has room for its stacks");
  CKPT_CHECK(mprotect(memory, kGuardBytes, PROT_NONE) == 0, "a stack has a guard");
  return static_cast<std::byte*>(memory);
}

}  // namespace

struct SimSchedule::Actor {
  ~Actor() {
    if (stack != nullptr) FreeStacks().push_back(stack);
  }

  SimSchedule* schedule = nullptr;
  std::function<void()> body;
  std::byte* stack = nullptr;
  ucontext_t context = {};
  bool ended = false;
  // For AddressSanitizer, which has to be told of stacks.
  void* fake_stack = nullptr;
  const void* bottom = nullptr;
  std::size_t size = 0;
};

std::size_t RandomWalk::Choose(const std::vector<std::size_t>& ready, std::size_t now, Why why) {
  if (why == Why::kCall && rng_.Below(rarity_) != 0) return now;
  std::size_t next = ready[rng_.Below(ready.size())];
  if (next != now || why == Why::kEnd || ready.size() == 1) return next;
  // Another one, so that whoever sleeps does not poll alone.
  auto at = std::find(ready.begin(), ready.end(), now) - ready.begin();
  return ready[(static_cast<std::size_t>(at) + 1 + rng_.Below(ready.size() - 1)) % ready.size()];
}

PriorityWalk::PriorityWalk(std::uint64_t seed, std::size_t actors, std::uint64_t calls,
                           std::size_t changes) {
  SimRng rng(seed);
  for (std::size_t i = 0; i < actors; ++i) priority_.push_back(static_cast<std::int64_t>(i) + 1);
  for (std::size_t i = actors; i > 1; --i) std::swap(priority_[i - 1], priority_[rng.Below(i)]);
  for (std::size_t i = 0; i < changes; ++i) changes_.push_back(1 + rng.Below(calls));
}

std::size_t PriorityWalk::Choose(const std::vector<std::size_t>& ready, std::size_t now, Why why) {
  bool falls = why == Why::kSleep;
  if (why == Why::kCall) {
    ++calls_;
    falls = std::find(changes_.begin(), changes_.end(), calls_) != changes_.end();
  }
  if (falls) priority_[now] = --lowest_;
  return *std::max_element(ready.begin(), ready.end(), [&](std::size_t a, std::size_t b) {
    return priority_[a] < priority_[b];
  });
}

std::size_t Preemptions::Choose(const std::vector<std::size_t>& ready, std::size_t now, Why why) {
  if (!began_) {
    began_ = true;
    return std::find(ready.begin(), ready.end(), first_) != ready.end() ? first_ : ready.front();
  }
  if (why == Why::kCall) {
    ++calls_;
    if (!std::binary_search(at_.begin(), at_.end(), calls_)) return now;
  }
  auto next = std::upper_bound(ready.begin(), ready.end(), now);
  return next == ready.end() ? ready.front() : *next;
}

SimSchedule::SimSchedule(SimWorld* world, SimStrategy* strategy)
    : world_(world), strategy_(strategy), caller_(std::make_unique<Actor>()) {}

SimSchedule::~SimSchedule() { world_->set_turns(nullptr); }

void SimSchedule::Add(std::function<void()> body) {
  auto actor = std::make_unique<Actor>();
  actor->schedule = this;
  actor->body = std::move(body);
  actor->stack = TakeStack();
  actor->bottom = actor->stack + kGuardBytes;
  actor->size = kStackBytes - kGuardBytes;
  CKPT_CHECK(getcontext(&actor->context) == 0, "a context can be had");
  actor->context.uc_stack.ss_sp = actor->stack + kGuardBytes;
  actor->context.uc_stack.ss_size = actor->size;
  actor->context.uc_link = nullptr;
  auto bits = reinterpret_cast<std::uintptr_t>(actor.get());  // makecontext passes only ints
  makecontext(&actor->context, reinterpret_cast<void (*)()>(&SimSchedule::Main), 2,
              static_cast<unsigned>(bits >> 32), static_cast<unsigned>(bits));
  ready_.push_back(actors_.size());
  actors_.push_back(std::move(actor));
}

void SimSchedule::SetLimit(std::uint64_t calls, std::function<void()> exceeded) {
  calls_max_ = calls;
  exceeded_ = std::move(exceeded);
}

void SimSchedule::Run() {
  if (actors_.empty()) return;
  world_->set_turns(this);
  running_ = caller_.get();
  now_ = strategy_->Choose(ready_, ready_.front(), SimStrategy::Why::kEnd);
  SwitchTo(actors_[now_].get());
  world_->set_turns(nullptr);
}

void SimSchedule::BeforeCall() {
  if (running_ == caller_.get()) return;
  if (++calls_ == calls_max_ && exceeded_) exceeded_();
  Turn(SimStrategy::Why::kCall);
}

void SimSchedule::AfterSleep() { Turn(SimStrategy::Why::kSleep); }

void SimSchedule::Turn(SimStrategy::Why why) {
  std::size_t next = strategy_->Choose(ready_, now_, why);
  if (next == now_ && why != SimStrategy::Why::kEnd) return;
  now_ = next;
  ++switches_;
  SwitchTo(actors_[next].get());
}

void SimSchedule::SwitchTo(Actor* next) {
  Actor* before = running_;
  running_ = next;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(before->ended ? nullptr : &before->fake_stack, next->bottom,
                                 next->size);
#endif
  swapcontext(&before->context, &next->context);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(before->fake_stack, nullptr, nullptr);
#endif
}

void SimSchedule::Main(unsigned high, unsigned low) {
  auto bits = (static_cast<std::uintptr_t>(high) << 32) | low;
  auto* actor = reinterpret_cast<Actor*>(bits);
  SimSchedule* schedule = actor->schedule;
#if defined(__SANITIZE_ADDRESS__)
  Actor* caller = schedule->caller_.get();
  bool first = caller->bottom == nullptr;
  __sanitizer_finish_switch_fiber(nullptr, first ? &caller->bottom : nullptr,
                                  first ? &caller->size : nullptr);
#endif
  actor->body();
  actor->body = nullptr;
  actor->ended = true;
  std::erase(schedule->ready_, schedule->now_);
  if (schedule->ready_.empty()) schedule->SwitchTo(schedule->caller_.get());
  schedule->Turn(SimStrategy::Why::kEnd);
}

}  // namespace ckpt
