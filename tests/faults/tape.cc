#include "tests/faults/tape.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <random>

#include "tests/faults/calls.h"

namespace ckpt::faults {
namespace {

namespace fs = std::filesystem;

// A write torn there ends at a multiple of one of these.
constexpr std::size_t kTears[] = {1, 512, 4096};

std::mutex recording;
Tape* tape = nullptr;

ino_t InodeOf(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

bool SyncsByItself(int fd) { return (syscall(SYS_fcntl, fd, F_GETFL) & (O_DSYNC | O_SYNC)) != 0; }

// How much of the i-th of what is not synced is there: 0 to 1, of its bytes.
std::size_t Kept(const Loss& loss, std::size_t i, std::size_t bytes) {
  switch (loss.kind) {
    case Loss::kNothing:
      return bytes;
    case Loss::kAll:
      return 0;
    case Loss::kOne:
      return i == loss.which ? 0 : bytes;
    case Loss::kAllButOne:
      return i == loss.which ? bytes : 0;
    case Loss::kRandom:
      break;
  }
  std::mt19937_64 random(loss.seed * 1000003 + i);
  const std::uint64_t way = random() % 4;
  if (way != 0) return way % 2 == 0 ? 0 : bytes;
  const std::size_t tear = kTears[random() % std::size(kTears)];
  return random() % (bytes + 1) / tear * tear;
}

}  // namespace

Tape::Tape(std::string folder) : folder_(std::move(folder)), folder_inode_(InodeOf(folder_)) {
  const TestsOwn own;
  names_ = NamesNow();
  for (const auto& [name, inode] : names_) bytes_[inode] = ReadFile(folder_ + "/" + name);
  tape = this;
  Observe(Look);
}

void Tape::Stop() {
  Observe(nullptr);
  const std::lock_guard<std::mutex> lock(recording);
  if (tape == this) tape = nullptr;
}

void Tape::Look(const Done& done) {
  const TestsOwn own;
  const std::lock_guard<std::mutex> lock(recording);
  if (tape != nullptr) tape->Record(done);
}

Tape::Names Tape::NamesNow() const {
  Names names;
  std::error_code gone;
  for (const auto& at : fs::directory_iterator(folder_, gone)) {
    const ino_t inode = InodeOf(at.path());
    if (inode != 0) names[at.path().filename()] = inode;
  }
  return names;
}

void Tape::RecordNames() {
  Names now = NamesNow();
  const auto last = std::find_if(events_.rbegin(), events_.rend(), [](const Event& event) {
    return event.what == Done::What::kNames;
  });
  if (now == (last == events_.rend() ? names_ : last->names)) return;
  events_.emplace_back();
  events_.back().names = std::move(now);
}

bool Tape::IsOurs(ino_t inode) const {
  const auto has = [&](const Names& names) {
    return std::ranges::any_of(names, [&](const auto& at) { return at.second == inode; });
  };
  return inode == folder_inode_ || has(names_) ||
         std::ranges::any_of(events_, [&](const Event& event) { return has(event.names); });
}

void Tape::Record(const Done& done) {
  if (done.what == Done::What::kNames) {
    RecordNames();
    return;
  }
  struct stat info {};
  if (fstat(done.fd, &info) != 0 || !IsOurs(info.st_ino)) return;
  Event event;
  event.what = done.what;
  event.inode = info.st_ino;
  event.at = static_cast<std::uint64_t>(done.at);
  event.size = done.size;
  if (done.what == Done::What::kWrite) {
    event.bytes.assign(static_cast<const char*>(done.data), done.size);
    event.synced = SyncsByItself(done.fd);
  }
  events_.push_back(std::move(event));
}

void Tape::IgnoreSyncs() {
  std::erase_if(events_, [](const Event& event) { return event.what == Done::What::kSync; });
  for (Event& event : events_) event.synced = false;
}

std::vector<std::size_t> Tape::NotSynced(std::size_t n) const {
  std::vector<std::size_t> pending;
  for (std::size_t i = 0; i < n; ++i) {
    const Event& event = events_[i];
    if (event.what == Done::What::kSync) {
      std::erase_if(pending, [&](std::size_t p) { return events_[p].inode == event.inode; });
    } else if (event.what != Done::What::kNames && !event.synced) {
      pending.push_back(i);
    }
  }
  return pending;
}

// As they were after the last sync of the folder, or any change of names since.
Tape::Names Tape::NamesAfter(std::size_t n, const Loss& loss) const {
  std::vector<const Names*> possible = {&names_};
  for (std::size_t i = 0; i < n; ++i) {
    const Event& event = events_[i];
    if (event.what == Done::What::kNames) possible.push_back(&event.names);
    if (event.what == Done::What::kSync && event.inode == folder_inode_) {
      possible.erase(possible.begin(), possible.end() - 1);
    }
  }
  if (loss.kind == Loss::kAll) return *possible.front();
  if (loss.kind != Loss::kRandom) return *possible.back();
  return *possible[std::mt19937_64(loss.seed)() % possible.size()];
}

Files Tape::Lost(std::size_t n, const Loss& loss) const {
  std::map<ino_t, std::string> bytes = bytes_;
  const std::vector<std::size_t> pending = NotSynced(n);
  for (std::size_t i = 0; i < n; ++i) {
    const Event& event = events_[i];
    const auto at = std::ranges::find(pending, i);
    const auto number = static_cast<std::size_t>(at - pending.begin());
    const bool is_size = event.what == Done::What::kSize;
    const std::size_t whole = is_size ? 1 : event.bytes.size();
    const std::size_t kept = at == pending.end() ? whole : Kept(loss, number, whole);
    std::string& file = bytes[event.inode];
    if (is_size && kept != 0) file.resize(event.size);
    if (event.what != Done::What::kWrite || kept == 0) continue;
    if (file.size() < event.at + kept) file.resize(event.at + kept);
    std::copy_n(event.bytes.begin(), kept, file.begin() + static_cast<std::ptrdiff_t>(event.at));
  }
  Files files;
  for (const auto& [name, inode] : NamesAfter(n, loss)) files[name] = bytes[inode];
  return files;
}

void WriteFiles(const Files& files, const std::string& folder) {
  fs::remove_all(folder);
  fs::create_directories(folder);
  fs::permissions(folder, fs::perms::owner_all);
  for (const auto& [name, bytes] : files) {
    WriteFile(folder + "/" + name, bytes);
    fs::permissions(folder + "/" + name, fs::perms::owner_read | fs::perms::owner_write);
  }
}

}  // namespace ckpt::faults
