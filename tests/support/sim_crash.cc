// SimDisk::Crash: which effects survive a power loss, and what they look like.

#include <algorithm>
#include <cerrno>

#include "tests/support/sim_disk.h"

namespace ckpt {
namespace {

// Calls `visit(offset, length)` for the parts of [offset, offset + length) in each `unit` bytes.
template <typename Visit>
void ForEachUnit(std::uint64_t offset, std::uint64_t length, std::uint64_t unit, Visit visit) {
  std::uint64_t end = offset + length;
  while (offset < end) {
    std::uint64_t next = std::min(end, RoundUp(offset + 1, unit));
    visit(offset, next - offset);
    offset = next;
  }
}

// Puts what survives of one write.
void PutTorn(const SimFileEffect& write, CrashChoice::Tear tear, SimRng* rng, SimContent* content) {
  ByteSpan data = *write.data;
  if (tear == CrashChoice::Tear::kWhole || rng->Below(2) == 0) {
    content->Put(write.offset, data);
  } else if (tear == CrashChoice::Tear::kByte) {
    content->Put(write.offset, data.first(rng->Below(data.size())));
  } else {
    std::uint64_t unit = tear == CrashChoice::Tear::kSector ? 512 : 4096;
    ForEachUnit(write.offset, data.size(), unit, [&](std::uint64_t at, std::uint64_t length) {
      if (rng->Below(2) != 0) content->Put(at, data.subspan(at - write.offset, length));
    });
  }
}

// Which of `count` effects, in the order they happened, survive.
std::vector<bool> Choose(const CrashChoice& choice, std::size_t count, SimRng* rng) {
  std::vector<bool> kept(count);
  for (std::size_t i = 0; i < count; ++i) {
    switch (choice.keep) {
      case CrashChoice::Keep::kAll:
        kept[i] = true;
        break;
      case CrashChoice::Keep::kNone:
        break;
      case CrashChoice::Keep::kSubset:
        kept[i] = rng->Below(100) < choice.keep_percent;
        break;
      case CrashChoice::Keep::kPrefix:
        kept[i] = i < choice.prefix;
        break;
      case CrashChoice::Keep::kMask:
        kept[i] = i < choice.mask.size() && choice.mask[i];
        break;
    }
  }
  return kept;
}

// What a block used before may show: bytes of some file, from some block of it on.
void FillStale(const std::vector<const SimContent*>& files, SimRng* rng, MutableByteSpan out) {
  std::fill(out.begin(), out.end(), std::byte{0});
  if (files.empty()) return;
  const SimContent& file = *files[rng->Below(files.size())];
  std::uint64_t blocks = file.size() / SimContent::kBlockBytes + 1;
  file.Read(rng->Below(blocks) * SimContent::kBlockBytes, out);
}

// What lost writes show: only in blocks that were not on disk before, and before anything survives.
void FillLost(CrashChoice::Fill fill, const std::vector<const SimContent*>& files, SimRng* rng,
              SimInode* file) {
  SimContent before = file->durable;
  for (const SimFileEffect& effect : file->effects) {
    if (effect.data == nullptr) continue;
    constexpr std::uint64_t kUnit = SimContent::kBlockBytes;
    ForEachUnit(effect.offset, effect.data->size(), kUnit, [&](std::uint64_t at, std::uint64_t n) {
      if (before.IsAllocated(at)) return;
      std::byte bytes[kUnit];
      MutableByteSpan out(bytes, n);
      fill == CrashChoice::Fill::kGarbage ? rng->Fill(out) : FillStale(files, rng, out);
      file->durable.Put(at, out);
    });
  }
}

void Replay(const SimFileEffect& effect, CrashChoice::Tear tear, SimRng* rng, SimContent* content) {
  if (effect.data != nullptr) {
    PutTorn(effect, tear, rng, content);
  } else if (effect.punch_bytes > 0 && tear != CrashChoice::Tear::kWhole) {
    ForEachUnit(effect.offset, effect.punch_bytes, SimContent::kBlockBytes,
                [&](std::uint64_t at, std::uint64_t length) {
                  if (rng->Below(2) != 0) content->Punch(at, length);
                });
  } else {
    ApplySimEffect(effect, content);
  }
}

}  // namespace

CrashChoice CrashChoice::Random(std::uint64_t seed) {
  SimRng rng(seed);
  CrashChoice choice;
  choice.seed = rng.Next();
  choice.keep = rng.Below(3) == 0 ? Keep::kPrefix : Keep::kSubset;
  choice.prefix = rng.Below(64);
  constexpr std::uint32_t kPercents[] = {5, 25, 50, 75, 95};
  choice.keep_percent = kPercents[rng.Below(std::size(kPercents))];
  choice.tear = static_cast<Tear>(rng.Below(4));
  choice.fill = static_cast<Fill>(rng.Below(3));
  return choice;
}

std::size_t SimDisk::effect_count() const {
  std::size_t count = name_effects_.size();
  for (const auto& [number, inode] : inodes_) count += inode->effects.size();
  return count;
}

std::unique_ptr<SimDisk> SimDisk::Crash(const CrashChoice& choice) const {
  SimRng rng(choice.seed ^ 0xC4A54);
  std::vector<std::uint64_t> sequences;
  std::vector<const SimContent*> files;
  for (const NameEffect& effect : name_effects_) sequences.push_back(effect.sequence);
  for (const auto& [number, inode] : inodes_) {
    for (const SimFileEffect& effect : inode->effects) sequences.push_back(effect.sequence);
    if (inode->current.size() > 0) files.push_back(&inode->current);
  }
  std::ranges::sort(sequences);
  std::vector<bool> kept = Choose(choice, sequences.size(), &rng);
  auto survives = [&](std::uint64_t sequence) {
    auto at = std::ranges::lower_bound(sequences, sequence) - sequences.begin();
    return bool{kept[static_cast<std::size_t>(at)]};
  };

  auto after = std::make_unique<SimDisk>(*this);
  for (auto& [number, inode] : after->inodes_) {
    if (choice.fill != CrashChoice::Fill::kZeros) FillLost(choice.fill, files, &rng, inode.get());
    for (const SimFileEffect& effect : inode->effects) {
      if (survives(effect.sequence)) Replay(effect, choice.tear, &rng, &inode->durable);
    }
    inode->durable.Resize(inode->durable.size());
    inode->current = inode->durable;
    inode->effects.clear();
    inode->diverged = false;
  }

  std::vector<bool> names(name_effects_.size());
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = survives(name_effects_[i].sequence);
  CloseOverNames(&names);
  after->MakeNamesDurable(names);
  after->name_effects_.clear();
  for (auto& [number, inode] : after->inodes_) {
    inode->names = inode->durable_names;
    inode->links = number == kRoot ? 1 : 0;
  }
  after->Sweep();
  for (auto& [number, inode] : after->inodes_) {
    for (const auto& [name, child] : inode->names) {
      SimInode& target = *after->inodes_.at(child);
      ++target.links;
      if (target.info.kind == FileKind::kDirectory) target.parent = number;
    }
  }
  return after;
}

}  // namespace ckpt
