// One entry of each kind with every field set, and random ones. Thread rule: pure functions.

#ifndef CKPT_TESTS_MANIFEST_ENTRY_SAMPLES_H_
#define CKPT_TESTS_MANIFEST_ENTRY_SAMPLES_H_

#include <random>
#include <string>
#include <vector>

#include "tests/manifest/tree_fixture.h"

namespace ckpt {

inline void SetStat(Entry* entry, std::uint64_t number) {
  entry->mode = static_cast<std::uint32_t>(number % 010000);
  entry->uid = static_cast<std::uint32_t>(number * 3);
  entry->gid = static_cast<std::uint32_t>(number * 5);
  entry->mtime_ns = static_cast<std::int64_t>(number * 7) - 1000;
  entry->ctime_ns = static_cast<std::int64_t>(number * 11);
  entry->device = number * 13;
  entry->inode = number * 17;
  entry->trusted_stat = number % 2 == 1;
  entry->xattrs = {{"user.a", "value"}, {"user.b", std::string("\0\xff", 2)}};
}

inline void SetStoredContent(Entry* entry, std::uint64_t number) {
  entry->logical_bytes = 1000 + number;
  entry->chunks = 3;
  entry->content.level = 1;
  entry->content.root = {NodeRef::How::kChunk, {}, NumberedId(number), 300};
}

inline Entry EntryOfKind(EntryKind kind, std::string name, std::uint64_t number = 12345) {
  Entry entry;
  entry.kind = kind;
  entry.name = std::move(name);
  if (kind != EntryKind::kArray) SetStat(&entry, number);
  if (kind == EntryKind::kFile || kind == EntryKind::kStream) SetStoredContent(&entry, number);
  if (kind == EntryKind::kSymlink) entry.target = "../any/where\n";
  if (kind == EntryKind::kHardLink) entry.target = "!first";
  if (kind == EntryKind::kArray) {
    SetStoredContent(&entry, number);
    entry.array.dtype = Dtype::kFloat64;
    entry.array.element_bytes = 8;
    entry.array.column_major = true;
    entry.array.shape = {2, 3, 1 + number % 100};
    entry.array.global_shape = {4, 3, 1000};
    entry.array.global_offset = {2, 0, 5};
    entry.logical_bytes = 48 * (1 + number % 100);
  }
  return entry;
}

inline std::vector<Entry> EntriesOfAllKinds() {
  std::vector<Entry> entries;
  for (int kind = 0; kind <= 5; ++kind) {
    entries.push_back(
        EntryOfKind(static_cast<EntryKind>(kind), "entry" + std::to_string(kind), 11));
  }
  return entries;
}

// Names as nobody would choose them: any byte but NUL, deep, long.
inline std::string OddName(std::mt19937* random) {
  std::string name;
  std::size_t components = 1 + (*random)() % 4;
  for (std::size_t i = 0; i < components; ++i) {
    if (i > 0) name += '/';
    std::string component;
    std::size_t size = (*random)() % 20 == 0 ? 255 : 1 + (*random)() % 12;
    while (component.size() < size) {
      char c = static_cast<char>(1 + (*random)() % 255);
      if (c != '/') component += c;
    }
    if (component == "." || component == "..") component = "...";
    name += component;
  }
  return name;
}

}  // namespace ckpt

#endif  // CKPT_TESTS_MANIFEST_ENTRY_SAMPLES_H_
