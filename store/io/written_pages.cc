#include "store/io/written_pages.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ckpt {
namespace {

// Newer than the headers of the distributions we build on.
constexpr std::uint64_t kFeatureWpUnpopulated = 1u << 13;
constexpr std::uint64_t kFeatureWpAsync = 1u << 15;
constexpr int kUserModeOnly = 1;
constexpr std::uint64_t kProtectMatching = 1u << 0;
constexpr std::uint64_t kCheckAsync = 1u << 1;
constexpr std::uint64_t kPageIsWritten = 1u << 1;

struct ScanArgument {
  std::uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
  std::uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
struct ScanRegion {
  std::uint64_t start, end, categories;
};
#define CKPT_PAGEMAP_SCAN _IOWR('f', 16, ScanArgument)

std::uintptr_t PageBytes() {
  static const auto bytes = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

std::uintptr_t AddressOf(ByteSpan memory) {
  return reinterpret_cast<std::uintptr_t>(memory.data());
}

// All of it is mapped, private, and of no file.
bool IsPrivateAnonymous(std::uintptr_t begin, std::uintptr_t end) {
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, CloseFile> maps(std::fopen("/proc/self/maps", "re"));
  if (maps == nullptr) return false;
  std::array<char, 4608> line;  // a path of 4096, and what is before it
  while (begin < end && std::fgets(line.data(), line.size(), maps.get()) != nullptr) {
    std::uintptr_t from = 0, to = 0;
    unsigned long inode = 1;
    char shared = 's';
    if (std::sscanf(line.data(), "%" SCNxPTR "-%" SCNxPTR " %*c%*c%*c%c %*s %*s %lu", &from, &to,
                    &shared, &inode) != 4) {
      return false;
    }
    if (to <= begin) continue;
    if (from > begin || shared != 'p' || inode != 0) return false;
    begin = to;
  }
  return begin >= end;
}

}  // namespace

Result<std::unique_ptr<WrittenPages>> WrittenPages::Open() {
  std::unique_ptr<WrittenPages> pages(new WrittenPages);
  // Without events the flag for unprivileged users takes nothing away.
  pages->faults_ =
      UniqueFd(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | kUserModeOnly)));
  if (!pages->faults_.valid()) return Unsupported(std::string("userfaultfd: ") + strerror(errno));
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | kFeatureWpUnpopulated | kFeatureWpAsync;
  if (ioctl(pages->faults_.get(), UFFDIO_API, &api) != 0) {
    return Unsupported("the kernel has no asynchronous write protection (Linux 6.7)");
  }
  pages->pagemap_ = UniqueFd(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  if (!pages->pagemap_.valid()) {
    return Unsupported(std::string("/proc/self/pagemap: ") + strerror(errno));
  }
  return pages;
}

ByteSpan WrittenPages::WholePages(ByteSpan memory) {
  const std::uintptr_t begin = AddressOf(memory);
  const std::uintptr_t skipped = (PageBytes() - begin % PageBytes()) % PageBytes();
  if (skipped >= memory.size()) return {};
  return memory.subspan(skipped, (memory.size() - skipped) / PageBytes() * PageBytes());
}

WrittenPages::Looked WrittenPages::Look(ByteSpan memory) {
  Looked looked;
  const ByteSpan pages = WholePages(memory);
  const std::uintptr_t begin = AddressOf(pages), end = begin + pages.size();
  if (pages.empty()) return looked;
  auto known = known_.find(begin);
  if (known != known_.end() && known->second == end) {
    looked.known = Scan(begin, end, &looked);
    for (auto& [from, to] : looked.written) {
      from -= AddressOf(memory);
      to -= AddressOf(memory);
    }
    if (looked.known) return looked;
    known_.erase(known);
  }
  looked.written.clear();
  Looked all;  // which are written is of no interest; they are protected
  if (Register(begin, end) && Scan(begin, end, &all)) known_[begin] = end;
  return looked;
}

// Memory that is registered already stays so.
bool WrittenPages::Register(std::uintptr_t begin, std::uintptr_t end) {
  if (!IsPrivateAnonymous(begin, end)) return false;
  uffdio_register range{};
  range.range = {begin, end - begin};
  range.mode = UFFDIO_REGISTER_MODE_WP;
  return ioctl(faults_.get(), UFFDIO_REGISTER, &range) == 0;
}

// Fails (EPERM) where a part is not registered any more.
bool WrittenPages::Scan(std::uintptr_t begin, std::uintptr_t end, Looked* looked) {
  std::array<ScanRegion, 512> regions;
  while (begin < end) {
    ScanArgument scan{};
    scan.size = sizeof(scan);
    scan.flags = kProtectMatching | kCheckAsync;
    scan.start = begin;
    scan.end = end;
    scan.vec = reinterpret_cast<std::uintptr_t>(regions.data());
    scan.vec_len = regions.size();
    scan.category_mask = scan.return_mask = kPageIsWritten;
    const int found = ioctl(pagemap_.get(), CKPT_PAGEMAP_SCAN, &scan);
    if (found < 0 && errno == EINTR) continue;
    if (found < 0 || scan.walk_end <= begin) return false;
    for (int i = 0; i < found; ++i) {
      const ScanRegion& region = regions[static_cast<std::size_t>(i)];
      if (!looked->written.empty() && looked->written.back().second == region.start) {
        looked->written.back().second = region.end;
      } else {
        looked->written.emplace_back(region.start, region.end);
      }
    }
    begin = scan.walk_end;
  }
  return true;
}

void WrittenPages::Forget(ByteSpan memory) {
  const ByteSpan pages = WholePages(memory);
  if (pages.empty() || known_.erase(AddressOf(pages)) == 0) return;
  uffdio_range range{AddressOf(pages), pages.size()};
  ioctl(faults_.get(), UFFDIO_UNREGISTER, &range);  // else it stays slower to write
}

}  // namespace ckpt
