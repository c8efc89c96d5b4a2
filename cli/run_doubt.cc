#include "cli/run_doubt.h"

#include <sys/mman.h>

#include "cli/exit_codes.h"
#include "cli/store_handle.h"

namespace ckpt {
namespace {

int Count(const ckpt_checkpoint*, void* user) {
  ++*static_cast<std::uint64_t*>(user);
  return 0;
}

}  // namespace

SavedName::SavedName() : shared_(nullptr) {
  void* memory =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory != MAP_FAILED) shared_ = static_cast<Shared*>(memory);
}

SavedName::~SavedName() {
  if (shared_ != nullptr) munmap(shared_, sizeof(Shared));
}

void SavedName::Set(std::uint64_t attempt, std::int64_t step) const {
  if (shared_ != nullptr) *shared_ = {attempt, step};
}

std::string SavedName::Text() const {
  if (shared_ == nullptr || shared_->attempt == 0) return "";
  return std::to_string(shared_->attempt) + ":" + std::to_string(shared_->step);
}

int TakeBack(Console& console, const std::string& series, const std::string& name) {
  StoreHandle store(console);
  if (const int status = store.Open(CKPT_OPEN_WRITE); status != kExitDone) return status;
  ckpt_list_options options = CKPT_LIST_OPTIONS_INIT;
  options.series = series.c_str();
  options.last = 2;
  std::uint64_t count = 0;
  ckpt_code code = ckpt_list(store.get(), &options, Count, &count);
  if (code != CKPT_OK) return store.Fail(code);
  if (count < 2) return kExitNotFound;
  const std::string checkpoint = series + "@" + name;
  const char* const names[] = {checkpoint.c_str()};
  code = ckpt_remove(store.get(), names, 1, 1, nullptr, nullptr);
  return code == CKPT_OK ? kExitDone : store.Fail(code);
}

}  // namespace ckpt
