#include "tests/support/sim_disk.h"

#include <algorithm>
#include <cerrno>
#include <functional>
#include <set>
#include <utility>

namespace ckpt {

void ApplySimEffect(const SimFileEffect& effect, SimContent* content) {
  if (effect.data != nullptr) {
    content->Put(effect.offset, *effect.data);
  } else if (effect.punch_bytes > 0) {
    content->Punch(effect.offset, effect.punch_bytes);
  } else {
    content->Allocate(effect.offset, effect.allocate_bytes);
    effect.cut ? content->Resize(effect.size_bytes) : content->SetSize(effect.size_bytes);
  }
}

std::uint64_t SimRng::Next() {
  std::uint64_t z = (state_ += 0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

void SimRng::Fill(MutableByteSpan out) {
  while (!out.empty()) {
    std::uint64_t value = Next();
    std::size_t length = std::min(out.size(), sizeof(value));
    std::memcpy(out.data(), &value, length);
    out = out.subspan(length);
  }
}

SimDisk::SimDisk() {
  auto root = std::make_shared<SimInode>();
  root->number = root->parent = kRoot;
  root->info.kind = FileKind::kDirectory;
  root->info.mode = 0755;
  root->links = 1;
  inodes_.emplace(kRoot, std::move(root));
}

SimDisk::SimDisk(const SimDisk& other)
    : capacity_bytes(other.capacity_bytes),
      separate_caches(other.separate_caches),
      device(other.device),
      next_inode(other.next_inode),
      now_ns(other.now_ns),
      name_effects_(other.name_effects_),
      next_sequence_(other.next_sequence_),
      sweep_above_(other.sweep_above_) {
  for (const auto& [number, inode] : other.inodes_) {
    auto copy = std::make_shared<SimInode>(*inode);
    copy->open_files = 0;
    copy->locks.clear();
    inodes_.emplace_hint(inodes_.end(), number, std::move(copy));
  }
}

SimDisk::InodePtr SimDisk::Lookup(const SimInode& dir, std::string_view name) const {
  auto it = dir.names.find(name);
  return it == dir.names.end() ? nullptr : inodes_.at(it->second);
}

FileInfo SimDisk::Info(const SimInode& inode) const {
  FileInfo info = inode.info;
  info.size_bytes = info.kind == FileKind::kSymlink ? inode.link_target.size() : Seen(inode).size();
  info.allocated_bytes = inode.current.allocated_bytes();
  info.device = device;
  info.inode = inode.number;
  info.links = inode.links;
  return info;
}

SimContent SimDisk::Seen(const SimInode& file) const {
  if (!separate_caches) return file.current;
  auto unseen = [&](const SimFileEffect& effect) { return IsOthers(effect) && !effect.closed; };
  if (std::ranges::none_of(file.effects, unseen)) return file.current;
  SimContent seen = file.durable;
  for (const SimFileEffect& effect : file.effects) {
    if (!unseen(effect)) ApplySimEffect(effect, &seen);
  }
  seen.Resize(seen.size());
  return seen;
}

void SimDisk::CloseFile(SimInode* file, const Id128& host) {
  for (SimFileEffect& effect : file->effects) effect.closed = effect.closed || effect.host == host;
}

std::uint64_t SimDisk::used_bytes() const {
  std::uint64_t used = 0;
  for (const auto& [number, inode] : inodes_) {
    if (inode->links == 0 && inode->open_files == 0) continue;
    used += SimContent::kBlockBytes + inode->current.allocated_bytes();
  }
  return used;
}

std::uint64_t SimDisk::free_blocks() const {
  if (!capacity_bytes.has_value()) return UINT64_MAX;
  std::uint64_t used = used_bytes();
  return used >= *capacity_bytes ? 0 : (*capacity_bytes - used) / SimContent::kBlockBytes;
}

void SimDisk::SetName(SimInode* dir, std::string_view name, const InodePtr& inode) {
  DropName(dir, name);
  dir->names.emplace(name, inode->number);
  ++inode->links;
  if (inode->info.kind == FileKind::kDirectory) inode->parent = dir->number;
  Touch(dir);
}

void SimDisk::DropName(SimInode* dir, std::string_view name) {
  auto it = dir->names.find(name);
  if (it == dir->names.end()) return;
  --inodes_.at(it->second)->links;
  dir->names.erase(it);
  Touch(dir);
}

void SimDisk::AddNameEffect(std::uint64_t synced_by, std::vector<NameEffect::Change> changes) {
  name_effects_.push_back({next_sequence_++, synced_by, std::move(changes)});
}

int SimDisk::Create(SimInode* dir, std::string_view name, const FileInfo& info,
                    std::string_view target, InodePtr* made) {
  if (dir->links == 0) return ENOENT;  // the directory was removed while open
  if (dir->names.contains(name)) return EEXIST;
  if (free_blocks() == 0) return ENOSPC;
  auto inode = std::make_shared<SimInode>();
  inode->number = next_inode++;
  inode->info = info;
  inode->link_target = target;
  Touch(inode.get());
  inodes_[inode->number] = inode;
  SetName(dir, name, inode);
  AddNameEffect(dir->number, {{dir->number, std::string(name), inode->number}});
  *made = std::move(inode);
  return 0;
}

int SimDisk::Link(const InodePtr& inode, SimInode* dir, std::string_view name) {
  if (inode->info.kind == FileKind::kDirectory) return EPERM;
  if (dir->links == 0) return ENOENT;
  if (dir->names.contains(name)) return EEXIST;
  SetName(dir, name, inode);
  AddNameEffect(dir->number, {{dir->number, std::string(name), inode->number}});
  return 0;
}

int SimDisk::Remove(SimInode* dir, std::string_view name, bool directory) {
  InodePtr inode = Lookup(*dir, name);
  if (inode == nullptr) return ENOENT;
  bool is_directory = inode->info.kind == FileKind::kDirectory;
  if (directory && !is_directory) return ENOTDIR;
  if (!directory && is_directory) return EISDIR;
  if (!inode->names.empty()) return ENOTEMPTY;
  DropName(dir, name);
  AddNameEffect(dir->number, {{dir->number, std::string(name), 0}});
  return 0;
}

bool SimDisk::IsInside(const SimInode& dir, const SimInode& ancestor) const {
  const SimInode* at = &dir;
  while (at->number != ancestor.number && at->number != kRoot) at = inodes_.at(at->parent).get();
  return at->number == ancestor.number;
}

int SimDisk::Rename(SimInode* from_dir, std::string_view from, SimInode* to_dir,
                    std::string_view to) {
  InodePtr moved = Lookup(*from_dir, from);
  if (moved == nullptr || to_dir->links == 0) return ENOENT;
  bool is_directory = moved->info.kind == FileKind::kDirectory;
  if (is_directory && IsInside(*to_dir, *moved)) return EINVAL;
  if (InodePtr replaced = Lookup(*to_dir, to)) {
    if (replaced == moved) return 0;  // POSIX: two names of one file both stay
    bool replaces_directory = replaced->info.kind == FileKind::kDirectory;
    if (is_directory && !replaces_directory) return ENOTDIR;
    if (!is_directory && replaces_directory) return EISDIR;
    if (!replaced->names.empty()) return ENOTEMPTY;
  }
  SetName(to_dir, to, moved);
  DropName(from_dir, from);
  AddNameEffect(to_dir->number, {{from_dir->number, std::string(from), 0},
                                 {to_dir->number, std::string(to), moved->number}});
  return 0;
}

void SimDisk::AddEffect(SimInode* file, SimFileEffect effect) {
  effect.sequence = next_sequence_++;
  effect.host = acting_host;
  file->effects.push_back(std::move(effect));
}

void SimDisk::AddSizeEffect(SimInode* file, std::uint64_t size_bytes, bool cut) {
  AddEffect(file, {.data = nullptr, .size_bytes = size_bytes, .cut = cut});
}

int SimDisk::Write(SimInode* file, std::uint64_t offset, ByteSpan data) {
  std::uint64_t missing = capacity_bytes ? file->current.MissingBlocks(offset, data.size()) : 0;
  int error = 0;
  if (missing > 0 && missing > free_blocks()) {
    error = ENOSPC;
    std::uint64_t free = free_blocks();
    std::uint64_t end = offset;  // the first block, from here on, that has no space
    while (file->current.IsAllocated(end) || free-- > 0) {
      end = RoundUp(end + 1, SimContent::kBlockBytes);
    }
    data = data.first(end - offset);
  }
  if (data.empty()) return error;
  file->current.Put(offset, data);
  AddEffect(file,
            {.offset = offset, .data = std::make_shared<const Bytes>(data.begin(), data.end())});
  if (offset + data.size() > file->current.size()) {
    file->current.SetSize(offset + data.size());
    AddSizeEffect(file, offset + data.size(), false);
  }
  Touch(file);
  return error;
}

int SimDisk::Allocate(SimInode* file, std::uint64_t offset, std::uint64_t length_bytes) {
  if (capacity_bytes && file->current.MissingBlocks(offset, length_bytes) > free_blocks()) {
    return ENOSPC;
  }
  std::uint64_t size = std::max(file->current.size(), offset + length_bytes);
  AddEffect(
      file,
      {.offset = offset, .data = nullptr, .size_bytes = size, .allocate_bytes = length_bytes});
  ApplySimEffect(file->effects.back(), &file->current);
  Touch(file);
  return 0;
}

void SimDisk::Punch(SimInode* file, std::uint64_t offset, std::uint64_t length_bytes) {
  AddEffect(file, {.offset = offset, .data = nullptr, .punch_bytes = length_bytes});
  ApplySimEffect(file->effects.back(), &file->current);
  Touch(file);
}

void SimDisk::Truncate(SimInode* file, std::uint64_t size_bytes) {
  AddSizeEffect(file, size_bytes, size_bytes < file->current.size());
  file->current.Resize(size_bytes);
  Touch(file);
}

void SimDisk::SyncFile(SimInode* file) {
  auto stays = [&](const SimFileEffect& effect) {
    return IsKeptBack(effect.sequence) || IsOthers(effect);
  };
  if (!file->diverged && std::ranges::none_of(file->effects, stays)) {
    file->durable = file->current;
    file->effects.clear();
    return;
  }
  for (const SimFileEffect& effect : file->effects) {
    if (!stays(effect)) ApplySimEffect(effect, &file->durable);
  }
  std::erase_if(file->effects, std::not_fn(stays));
  // What lies beyond a size that is still to come stays stored.
  if (file->effects.empty()) file->durable.Resize(file->durable.size());
}

void SimDisk::FailSyncFile(SimInode* file, SimRng* rng) {
  std::erase_if(file->effects, [&](const SimFileEffect& effect) {
    if (effect.data == nullptr) return false;  // the journal still brings the size
    if (rng->Below(2) == 0) ApplySimEffect(effect, &file->durable);
    return true;
  });
  file->diverged = true;
}

void SimDisk::CloseOverNames(std::vector<bool>* chosen) const {
  std::set<std::pair<std::uint64_t, std::string_view>> needed;
  for (std::size_t i = name_effects_.size(); i-- > 0;) {
    const NameEffect& effect = name_effects_[i];
    bool take = (*chosen)[i] || std::ranges::any_of(effect.changes, [&](const auto& change) {
                  return needed.contains({change.dir, change.name});
                });
    (*chosen)[i] = take;
    if (!take) continue;
    for (const auto& change : effect.changes) needed.insert({change.dir, change.name});
  }
}

void SimDisk::MakeNamesDurable(const std::vector<bool>& chosen) {
  std::vector<NameEffect> rest;
  for (std::size_t i = 0; i < name_effects_.size(); ++i) {
    if (!chosen[i]) {
      rest.push_back(std::move(name_effects_[i]));
      continue;
    }
    for (const auto& change : name_effects_[i].changes) {
      auto dir = inodes_.find(change.dir);
      if (dir == inodes_.end()) continue;  // removed, and its removal is durable
      if (change.inode == 0) {
        dir->second->durable_names.erase(change.name);
      } else {
        dir->second->durable_names[change.name] = change.inode;
      }
    }
  }
  name_effects_ = std::move(rest);
}

void SimDisk::SyncDir(SimInode* dir) {
  std::vector<bool> chosen(name_effects_.size());
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    chosen[i] = name_effects_[i].synced_by == dir->number && !IsKeptBack(name_effects_[i].sequence);
  }
  CloseOverNames(&chosen);
  MakeNamesDurable(chosen);
  if (inodes_.size() > sweep_above_) Sweep();
}

void SimDisk::Sweep() {
  std::set<std::uint64_t> needed = {kRoot};
  std::vector<std::uint64_t> reached = {kRoot};
  auto reach = [&](std::uint64_t number) {
    if (number != 0 && needed.insert(number).second) reached.push_back(number);
  };
  for (const NameEffect& effect : name_effects_) {
    for (const auto& change : effect.changes) {
      reach(change.dir);
      reach(change.inode);
    }
  }
  for (const auto& [number, inode] : inodes_) {
    if (inode->open_files > 0) reach(number);
  }
  while (!reached.empty()) {
    auto it = inodes_.find(reached.back());
    reached.pop_back();
    if (it == inodes_.end()) continue;
    for (const auto& [name, number] : it->second->names) reach(number);
    for (const auto& [name, number] : it->second->durable_names) reach(number);
  }
  std::erase_if(inodes_, [&](const auto& entry) { return !needed.contains(entry.first); });
  sweep_above_ = 2 * inodes_.size() + 64;
}

void SimDisk::DropCaches() {
  for (auto& [number, inode] : inodes_) {
    if (!inode->diverged) continue;
    inode->current = inode->durable;
    for (const SimFileEffect& effect : inode->effects) ApplySimEffect(effect, &inode->current);
    inode->current.Resize(inode->current.size());
    inode->diverged = false;
  }
}

}  // namespace ckpt
