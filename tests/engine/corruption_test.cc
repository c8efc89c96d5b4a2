// Damage, everywhere: in a store of several packs, codecs, series and checkpoints, with moved
// records and tombstones, every bit of every header, directory, mark, manifest and other small
// record, one bit of every byte of every chunk's payload, and every length that a pack can be cut
// to. Each checkpoint then restores to exactly what was saved, or answers an error that names the
// file and the place. No crash, no hang, no wrong byte.
//
// What makes it quick: the store is in memory; and a restore is repeated only where the damage can
// make a difference. That is decided by what is read, which is noted down: the program is
// deterministic (one thread), so a restore that does not read a byte is the same whatever it is.
//   - A byte that nothing but the contents of entries is read from: a store that was opened before
//     is in the same state as one opened now, and those entries are read again.
//   - Other bytes: the store is opened anew. Where every pack's tables come out as they were (by
//     another way: a directory that is damaged is replaced by a walk), a restore goes by the same
//     tables and reads the same bytes as before, and one in eight is done all the same. Else every
//     checkpoint is restored as a whole.
//   - A pack that is cut: likewise, all of one run of lengths with equal tables are one case, the
//     longest and the shortest of which are restored.
//
// $CKPT_PROOF_FLIPS: about how many flips are tried, evenly (short form 20000; 0: every one, with
// every length of every pack).

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <regex>

#include "store/engine/check.h"
#include "store/engine/chunk_writer.h"
#include "store/engine/parallel_reader.h"
#include "store/engine/restore_files.h"
#include "tests/engine/collect_fixture.h"
#include "tests/engine/look_fixture.h"
#include "tests/support/snapshot_env.h"

namespace ckpt {
namespace {

constexpr std::uint64_t kFlipsShort = collect_test::kAddressSanitizer ? 2000 : 20000;
constexpr std::uint64_t kRestoreEvery = 8;    // of those that cannot make a difference
constexpr std::uint64_t kCheckEvery = 20011;  // so many flips, `check` is asked, too

std::uint64_t FlipsWanted() {
  const char* text = std::getenv("CKPT_PROOF_FLIPS");
  return text == nullptr ? kFlipsShort : std::strtoull(text, nullptr, 10);
}

class Sink : public ReadTarget {
 public:
  explicit Sink(Bytes* bytes) : bytes_(bytes) {}
  Status Write(std::uint64_t offset, ByteSpan bytes) override {
    if (offset + bytes.size() > bytes_->size()) return Internal("beyond the entry's end");
    std::copy(bytes.begin(), bytes.end(), bytes_->begin() + static_cast<std::ptrdiff_t>(offset));
    return Status();
  }

 private:
  Bytes* const bytes_;
};

// What a checkpoint restores to.
using Contents = std::map<std::string, Bytes>;

Result<Bytes> ReadEntry(Fetcher* fetcher, const Entry& entry) {
  if (entry.logical_bytes > (64u << 20)) return Internal("an entry of a size nobody saved");
  Bytes bytes(entry.logical_bytes);
  ParallelReader reader(fetcher, 1);
  CKPT_ASSIGN_OR_RETURN(std::uint64_t length,
                        reader.Read(entry.content, std::make_shared<Sink>(&bytes)));
  CKPT_RETURN_IF_ERROR(reader.Drain());
  if (length != entry.logical_bytes) return Corruption("an entry of another length");
  return bytes;
}

Result<std::unique_ptr<Store>> OpenSnapshot(Env* env) {
  OpenStoreOptions options;
  options.use_index = false;
  options.threads = 1;
  return Store::Open(env, "/store", options);
}

// A checkpoint, opened: all that comes before the contents of entries.
struct Opened {
  std::unique_ptr<Store> store;
  std::unique_ptr<Fetcher> fetcher;
  std::vector<Entry> entries;
};

Status OpenCheckpoint(Store* store, const std::string& name, Opened* opened) {
  CKPT_ASSIGN_OR_RETURN(auto resolved, ResolveCheckpoint(store, name));
  CKPT_ASSIGN_OR_RETURN(Manifest manifest, store->ReadManifest(resolved.ranks.front()));
  CKPT_ASSIGN_OR_RETURN(opened->fetcher, Fetcher::Open(store, manifest.packs));
  EntryTableReader table(manifest.entry_table, opened->fetcher.get());
  opened->entries.clear();
  for (;;) {
    CKPT_ASSIGN_OR_RETURN(auto entry, table.Next());
    if (!entry.has_value()) return Status();
    opened->entries.push_back(*std::move(entry));
  }
}

Result<Contents> ReadAll(Store* store, const std::string& name) {
  Opened opened;
  CKPT_RETURN_IF_ERROR(OpenCheckpoint(store, name, &opened));
  Contents contents;
  for (const Entry& entry : opened.entries) {
    CKPT_ASSIGN_OR_RETURN(contents[entry.name], ReadEntry(opened.fetcher.get(), entry));
  }
  return contents;
}

// The same calls in the same order for one chunk after the other, without threads; most flips are
// tried this way.
Result<Bytes> ReadEntryQuickly(Fetcher* fetcher, const Entry& entry, Decoder* decoder,
                               Bytes* scratch) {
  Bytes bytes(entry.logical_bytes);
  std::uint64_t at = 0;
  ChunkListReader list(entry.content, fetcher);
  for (;;) {
    CKPT_ASSIGN_OR_RETURN(auto item, list.Next());
    if (!item.has_value()) break;
    std::uint64_t length =
        item->kind == ChunkItem::Kind::kInline ? item->inline_bytes.size() : item->raw_bytes;
    if (length > bytes.size() - at) return Corruption("an entry of another length");
    MutableByteSpan out = MutableByteSpan(bytes).subspan(at, length);
    at += length;
    if (item->kind == ChunkItem::Kind::kInline) {
      std::copy(item->inline_bytes.begin(), item->inline_bytes.end(), out.begin());
    } else if (item->kind == ChunkItem::Kind::kChunk) {
      CKPT_ASSIGN_OR_RETURN(ChunkPlace place, fetcher->Locate(item->id));
      scratch->resize(place.entry.stored_bytes);
      Status read =
          fetcher->ReadSpan(place.pack_id, place.entry.offset + kRecordHeaderBytes, *scratch);
      if (read.ok()) read = fetcher->DecodeChunk(place, *scratch, decoder, out);
      if (!read.ok()) CKPT_RETURN_IF_ERROR(fetcher->ReadChunk(place, decoder, scratch, out));
    }
  }
  if (at != bytes.size()) return Corruption("an entry of another length");
  return bytes;
}

// The tables of a pack as readers get them, as one checksum; their order depends on how they were
// found.
std::uint64_t TablesOf(Dir* packs_dir, const Id128& id, const Id128& store_uuid) {
  Bytes all;
  ByteWriter w(&all);
  auto reader = PackReader::Open(packs_dir, id, store_uuid, PackReader::BadHeader::kSalvage);
  auto contents = reader.ok() ? (*reader)->ReadFrom(0) : reader.status();
  w.U8(static_cast<std::uint8_t>(contents.status().code()));
  if (!contents.ok()) return Checksum64(all);
  for (auto* list : {&contents->chunks, &contents->tail_chunks}) {
    std::sort(list->begin(), list->end(),
              [](const ChunkEntry& a, const ChunkEntry& b) { return a.offset < b.offset; });
    for (const ChunkEntry& e : *list) {
      w.Id(e.id);
      w.U64(e.offset);
      w.U32(e.stored_bytes);
      w.U32(e.raw_bytes);
      w.U8(e.codec);
      w.U8(e.codec_param);
    }
    w.U8(0xff);
  }
  for (const auto* list : {&contents->records, &contents->tail_records}) {
    for (const RecordEntry& e : *list) {
      w.U64(e.offset);
      w.U8(static_cast<std::uint8_t>(e.type));
    }
    w.U8(0xff);
  }
  return Checksum64(all);
}

struct Counts {
  std::uint64_t flips = 0, cuts = 0, restores = 0, errors = 0, exact = 0, checks = 0;
  std::uint64_t unread = 0;       // bytes that no restore reads
  std::uint64_t same_tables = 0;  // not restored for that reason
  std::uint64_t gone = 0;         // by cuts: checkpoints whose manifest was cut off
};

class CorruptionTest : public LookTest {
 protected:
  void SetUp() override {
    MakeStore();
    env_ = std::make_unique<SnapshotEnv>(tmp_ / "store");
    std::erase_if(env_->files(), [](const auto& file) { return file.first.starts_with("index/"); });
    LearnTruth();
  }

  // ---- the store -----------------------------------------------------------------------------

  // Packs: one that a collection wrote, with moved records; one that is full and sealed; others.
  void MakeStore() {
    options_.format.chunker = ChunkerParams::ForAverage(4096);
    options_.format.array_chunk_bytes = 4096;
    options_.format.pack_bytes_max = 1 << 20;
    options_.threads = 1;
    for (int step = 1; step <= 4; ++step) {
      // Writers that hold the packs there are, so that these saves begin new ones.
      {
        auto holders = HoldPacks(step == 3 ? 1 : 0);
        SaveStepOfMelt(static_cast<std::uint64_t>(step));
      }
      auto holders = HoldPacks(step == 1 ? 1 : step == 3 ? 2 : 0);
      SaveStepOfFiles(static_cast<std::uint64_t>(step));
      if (step == 2) CollectFirstSteps();
    }
    EXPECT_GE(Packs().size(), 3u);
  }
  void SaveStepOfMelt(std::uint64_t step) {
    Arrays arrays{{"smooth", Smooth(9000, step)}, {"noise", Noise(6000, step / 2)}};
    arrays["flat"] = std::vector<double>(5000, 1.5);
    if (step == 3) {
      for (std::uint64_t i = 0; i < 9; ++i)
        arrays["big" + std::to_string(i)] = Noise(16000, 50 + i);
    }
    SaveArrays(Open().get(), arrays, "melt");
  }
  void SaveStepOfFiles(std::uint64_t step) {
    for (std::uint64_t f = 0; f < 8; ++f) {
      std::string text = RandomText(9000 + 3000 * f, 100 * f + (f < 3 ? step : f));
      if (f % 2 == 0) text = Words(text);
      WriteFile(tmp_ / ("d/file" + std::to_string(f)), text);
    }
    WriteFile(tmp_ / "d/small", "inline " + std::to_string(step));
    std::filesystem::remove(tmp_ / "d/link");
    std::filesystem::create_symlink("small", tmp_ / "d/link");
    SaveFilesOptions save;
    save.save.series = "files";
    save.reread = true;
    auto saved = SaveFiles(Open().get(), {"d"}, save);
    ASSERT_TRUE(saved.ok()) << saved.status().ToString();
  }
  void CollectFirstSteps() {
    auto store = Open();
    auto removals = PlanRemoval(store.get(), {"melt@1", "files@1"}, false);
    ASSERT_TRUE(removals.ok()) << removals.status().ToString();
    ASSERT_OK(CommitRemovals(store.get(), *removals, 0));
    CollectOptions collect;
    collect.wait_ms = 0;
    collect.live_share = 0.95;
    auto collector = Collector::Open(store.get(), collect);
    ASSERT_TRUE(collector.ok());
    Collected collected;
    ASSERT_OK((*collector)->Run({}, &collected));
    EXPECT_GT(collected.packs_removed, 0u);
  }
  std::vector<std::pair<std::unique_ptr<Store>, std::unique_ptr<ChunkWriter>>> HoldPacks(int n) {
    std::vector<std::pair<std::unique_ptr<Store>, std::unique_ptr<ChunkWriter>>> holders;
    for (int i = 0; i < n; ++i) {
      auto store = Open();
      auto writer = ChunkWriter::Open(store.get());
      EXPECT_TRUE(writer.ok()) << writer.status().ToString();
      holders.emplace_back(std::move(store), *std::move(writer));
    }
    return holders;
  }
  static std::vector<double> Smooth(std::size_t count, std::uint64_t seed) {
    std::vector<double> numbers(count);
    for (std::size_t i = 0; i < count; ++i) {
      numbers[i] =
          300 + static_cast<double>(i % 1000) * 0.25 + (i < 3000 ? static_cast<double>(seed) : 0);
    }
    return numbers;
  }
  static std::vector<double> Noise(std::size_t count, std::uint64_t seed) {
    std::string bytes = RandomText(count * sizeof(double), 77 + seed);
    std::vector<double> numbers(count);
    std::memcpy(numbers.data(), bytes.data(), bytes.size());
    return numbers;
  }
  static std::string Words(const std::string& random) {
    static constexpr const char* kWords[] = {"pressure ", "volume ", "energy ", "temp ",
                                             "0.125 ",    "step\n",  "atom ",   "-1e-3 "};
    std::string text;
    for (char c : random) {
      if (text.size() >= random.size()) break;
      text += kWords[static_cast<unsigned char>(c) % 8];
    }
    return text;
  }

  // ---- what is true, and what is read ----------------------------------------------------------

  struct EntryReads {
    std::size_t checkpoint = 0;
    std::size_t entry = 0;
    ReadBytes reads;
  };

  void LearnTruth() {
    names_ = {"melt@2", "melt@3", "melt@4", "files@2", "files@3", "files@4"};
    std::set<std::pair<Id128, Id128>> met;
    for (std::size_t c = 0; c < names_.size(); ++c) {
      ReadBytes head;
      env_->Note(&head);
      Opened opened;
      auto store = OpenSnapshot(env_.get());
      ASSERT_TRUE(store.ok()) << store.status().ToString();
      opened.store = *std::move(store);
      ASSERT_OK(OpenCheckpoint(opened.store.get(), names_[c], &opened));
      Merge(head, &head_);
      Contents truth;
      for (std::size_t e = 0; e < opened.entries.size(); ++e) {
        EntryReads reads{c, e, {}};
        env_->Note(&reads.reads);
        auto bytes = ReadEntry(opened.fetcher.get(), opened.entries[e]);
        env_->Note(nullptr);
        ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
        truth[opened.entries[e].name] = *std::move(bytes);
        // What several checkpoints share is one thing to read.
        const NodeRef& root = opened.entries[e].content.root;
        bool fresh = root.how != NodeRef::How::kChunk || met.insert({root.id, Id128()}).second;
        if (fresh) entry_reads_.push_back(std::move(reads));
      }
      truth_.push_back(std::move(truth));
      opened_.push_back(std::move(opened));
    }
    for (const auto& [name, content] : env_->files()) {
      if (name.starts_with("packs/")) tables_[name] = TablesNow(name);
    }
    EXPECT_EQ(truth_[2]["flat"], Raw(std::vector<double>(5000, 1.5)));
    EXPECT_EQ(truth_[2]["noise"], Raw(Noise(6000, 2)));
    EXPECT_EQ(truth_[1]["big3"], Raw(Noise(16000, 53)));
    EXPECT_EQ(AsText(truth_[5]["d/small"]), "inline 4");
  }
  static Bytes Raw(const std::vector<double>& numbers) {
    auto bytes = std::as_bytes(std::span(numbers));
    return Bytes(bytes.begin(), bytes.end());
  }
  static void Merge(const ReadBytes& from, ReadBytes* into) {
    for (const auto& [name, bits] : from) {
      std::vector<bool>& all = (*into)[name];
      all.resize(bits.size());
      for (std::size_t i = 0; i < bits.size(); ++i) all[i] = all[i] || bits[i];
    }
  }
  static bool Has(const ReadBytes& reads, const std::string& name, std::uint64_t at) {
    auto it = reads.find(name);
    return it != reads.end() && at < it->second.size() && it->second[at];
  }

  // ---- judging -------------------------------------------------------------------------------

  void Judge(const Result<Contents>& got, std::size_t checkpoint, bool may_be_gone,
             const std::string& where) {
    ++counts_.restores;
    if (got.ok()) {
      ++counts_.exact;
      if (*got != truth_[checkpoint]) Violation("WRONG BYTES of " + names_[checkpoint] + where);
      return;
    }
    JudgeError(got.status(), checkpoint, may_be_gone, where);
  }
  void JudgeError(const Status& status, std::size_t checkpoint, bool may_be_gone,
                  const std::string& where) {
    if (may_be_gone && status.code() == Code::kNotFound) {
      ++counts_.gone;
      return;
    }
    ++counts_.errors;
    static const std::regex place("(packs/)?[0-9a-f]{32}\\.pack|/store/format");
    bool named = std::regex_search(status.message(), place);
    if (status.code() == Code::kCorruption && named) return;
    Violation(names_[checkpoint] + where + ": " + status.ToString());
  }
  void Violation(const std::string& text) {
    if (++violations_ <= 20) ADD_FAILURE() << text;
  }

  // Of the pack of this name, as it is now.
  std::uint64_t TablesNow(const std::string& name) {
    Id128 id;
    EXPECT_TRUE(ParsePackFileName(name.substr(6), &id));
    Store* store = opened_.front().store.get();
    return TablesOf(store->packs_dir(), id, store->format().uuid);
  }

  // The store as it is now, from the beginning.
  void Anew(bool may_be_gone, const std::string& where) {
    auto store = OpenSnapshot(env_.get());
    if (!store.ok()) {
      for (std::size_t c = 0; c < names_.size(); ++c) JudgeError(store.status(), c, false, where);
      return;
    }
    for (std::size_t c = 0; c < names_.size(); ++c) {
      Judge(ReadAll(store->get(), names_[c]), c, may_be_gone, where);
    }
  }

  void TryFlip(const std::string& name, std::uint64_t at, int bit, bool in_record) {
    ++counts_.flips;
    env_->Flip(name, at, bit);
    const std::string where =
        ", bit " + std::to_string(bit) + " of byte " + std::to_string(at) + " of " + name;
    bool always = in_record || counts_.flips % kRestoreEvery == 0;
    if (Has(head_, name, at)) {
      if (always || TablesNow(name) != tables_.at(name)) {
        Anew(false, where);
      } else {
        ++counts_.same_tables;
      }
    } else {
      bool read = false;
      for (const EntryReads& reads : entry_reads_) {
        if (!Has(reads.reads, name, at)) continue;
        read = true;
        const Opened& opened = opened_[reads.checkpoint];
        const Entry& entry = opened.entries[reads.entry];
        auto bytes = always ? ReadEntry(opened.fetcher.get(), entry)
                            : ReadEntryQuickly(opened.fetcher.get(), entry, &decoder_, &scratch_);
        ++counts_.restores;
        if (!bytes.ok()) {
          JudgeError(bytes.status(), reads.checkpoint, false, where);
        } else {
          ++counts_.exact;
          if (*bytes != truth_[reads.checkpoint][entry.name]) Violation("WRONG BYTES" + where);
        }
      }
      if (!read) ++counts_.unread;
    }
    env_->Flip(name, at, bit);
  }

  // `check` must see it, unless it is in what has no meaning (padding, ends of packs).
  void CheckSees(const std::string& name, std::uint64_t at, int bit) {
    ++counts_.checks;
    env_->Flip(name, at, bit);
    auto store = OpenSnapshot(env_.get());
    CheckOptions options;
    options.record = false;
    auto report = store.ok() ? CheckStore(store->get(), options) : store.status();
    if (report.ok() && report->damage.empty()) {
      Violation("check does not see byte " + std::to_string(at) + " of " + name);
    }
    env_->Flip(name, at, bit);
  }

  // ---- all places ------------------------------------------------------------------------------

  // Bits of a file that are worth trying: all of them, or one of each byte.
  struct Place {
    std::uint64_t at;
    bool all_bits;
    bool in_record;  // of a manifest or another small record: restored in any case
    bool seen;       // `check` must find it
  };

  std::vector<Place> PlacesOf(const std::string& name) {
    std::vector<Place> places;
    const Bytes& bytes = env_->files().at(name).bytes;
    if (!name.starts_with("packs/")) {
      for (std::uint64_t at = 0; at < bytes.size(); ++at) places.push_back({at, true, true, false});
      return places;
    }
    Id128 id;
    EXPECT_TRUE(ParsePackFileName(name.substr(6), &id));
    auto header = DecodePackHeader(ByteSpan(bytes).first(kPackHeaderBytes));
    EXPECT_TRUE(header.ok());
    for (std::uint64_t at = 0; at < kPackHeaderBytes; ++at) {
      places.push_back({at, true, false, false});
    }
    if (header->reserve) return places;  // nothing in it
    for (std::uint64_t at = kPackHeaderBytes; at < bytes.size();) {
      RecordHeader record;
      if (bytes.size() - at < kRecordHeaderBytes ||
          !DecodeRecordHeader(ByteSpan(bytes).subspan(at, kRecordHeaderBytes), id, at, &record)) {
        ADD_FAILURE() << name << " at " << at << ": no record";
        break;
      }
      bool padding = record.type == RecordType::kPadding;
      bool chunk = record.type == RecordType::kChunk;
      bool small = ListedAsRecord(record.type);
      std::uint64_t end = at + kRecordHeaderBytes + record.stored_bytes;
      for (std::uint64_t b = at; b < end && b < bytes.size(); ++b) {
        bool in_header = b < at + kRecordHeaderBytes;
        if (padding && !in_header) continue;
        places.push_back({b, in_header || !chunk, small, chunk || small});
      }
      at += record.ExtentBytes();
    }
    return places;
  }

  std::unique_ptr<SnapshotEnv> env_;
  std::vector<std::string> names_;
  std::vector<Contents> truth_;
  std::vector<Opened> opened_;
  ReadBytes head_;
  std::vector<EntryReads> entry_reads_;
  std::map<std::string, std::uint64_t> tables_;  // of the sound packs
  Decoder decoder_;
  Bytes scratch_;
  Counts counts_;
  std::uint64_t violations_ = 0;
};

TEST_F(CorruptionTest, AnyBitFlippedRestoresExactlyOrNamesThePlace) {
  auto begin = std::chrono::steady_clock::now();
  std::uint64_t all = 0, bytes = 0;
  std::map<std::string, std::vector<Place>> places;
  for (const auto& [name, content] : env_->files()) {
    if (name.starts_with("locks/") || name == "collect") continue;  // no restore opens them
    places[name] = PlacesOf(name);
    for (const Place& place : places[name]) all += place.all_bits ? 8 : 1;
    if (name.starts_with("packs/")) bytes += content.bytes.size();
  }
  EXPECT_GT(bytes, 1u << 20);
  std::uint64_t wanted = FlipsWanted();
  std::uint64_t stride = wanted == 0 ? 1 : std::max<std::uint64_t>(1, all / wanted);
  std::uint64_t number = 0;
  for (const auto& [name, list] : places) {
    for (const Place& place : list) {
      int one = static_cast<int>((place.at * 2654435761u >> 7) & 7);
      for (int i = 0; i < (place.all_bits ? 8 : 1); ++i) {
        if (number++ % stride != 0) continue;
        int bit = place.all_bits ? i : one;
        TryFlip(name, place.at, bit, place.in_record);
        if (place.seen && counts_.flips % (stride == 1 ? kCheckEvery : 499) == 0) {
          CheckSees(name, place.at, bit);
        }
      }
    }
  }
  std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::cout << "proof: corruption: " << counts_.flips << " flips of " << all << " in "
            << places.size() << " files, " << counts_.restores << " restores, " << counts_.errors
            << " errors, " << counts_.exact << " exact, " << counts_.same_tables
            << " with equal tables, " << counts_.unread << " of bytes no restore reads, "
            << counts_.checks << " checks, " << violations_ << " violations, " << seconds.count()
            << " s\n";
  EXPECT_GT(counts_.errors, 0u);
}

TEST_F(CorruptionTest, CutToAnyLengthRestoresExactlyOrNamesThePlace) {
  auto begin = std::chrono::steady_clock::now();
  std::uint64_t stride = FlipsWanted() == 0 ? 1 : 1009;
  for (auto& [name, content] : env_->files()) {
    if (!name.starts_with("packs/")) continue;
    // Of a run of lengths with equal tables the longest and the shortest are restored.
    std::uint64_t tables = tables_.at(name), last = content.bytes.size();
    auto restore = [&, &name = name, &content = content](std::uint64_t size) {
      content.size = size;
      Anew(true, ", " + name + " cut to " + std::to_string(size));
    };
    for (std::uint64_t size = last; size > 0; size -= std::min(size, stride)) {
      ++counts_.cuts;
      content.size = size - 1;
      std::uint64_t now = TablesNow(name);
      if (now != tables) {
        restore(last);
        restore(size - 1);
      }
      tables = now;
      last = size - 1;
    }
    restore(last);
    content.size = content.bytes.size();
  }
  std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::cout << "proof: truncation: " << counts_.cuts << " lengths, " << counts_.restores
            << " restores, " << counts_.errors << " errors, " << counts_.exact << " exact, "
            << counts_.gone << " cut off with their manifest, " << violations_ << " violations, "
            << seconds.count() << " s\n";
}

}  // namespace
}  // namespace ckpt
