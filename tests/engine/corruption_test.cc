// Damage, everywhere: in a store of several packs, codecs, series and checkpoints, with moved
// records and tombstones, every bit of every header, directory, mark, manifest and other small
// record, one bit of every byte of every chunk's payload, and every length that a pack can be cut
// to. Each checkpoint then restores to exactly what was saved, or answers an error that names the
// file and the place. No crash, no hang, no wrong byte, no memory to speak of.
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
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <regex>

#include "store/engine/check.h"
#include "store/engine/chunk_writer.h"
#include "store/engine/restore_files.h"
#include "tests/engine/collect_fixture.h"
#include "tests/engine/corruption_reads.h"
#include "tests/engine/look_fixture.h"
#include "tests/support/snapshot_env.h"

namespace ckpt {
namespace {

using namespace corruption_test;  // NOLINT

constexpr std::uint64_t kFlipsShort = kSanitized ? 2000 : 20000;
constexpr std::uint64_t kRestoreEvery = 8;  // of those that cannot make a difference
// `check` is asked, too: once in so many flips of payloads, and of anything else that it must find.
constexpr std::uint64_t kCheckPayloadEvery = 503;
constexpr std::uint64_t kCheckEvery = 20011, kCheckEveryShort = 499;
constexpr std::uint64_t kRestoreFilesEvery = 97;  // of those that files depend on
constexpr std::uint64_t kMemoryMaxBytes = 256u
                                          << 20;  // docs/design.md, "A damaged or hostile store"

std::uint64_t FlipsWanted() {
  const char* text = std::getenv("CKPT_PROOF_FLIPS");
  return text == nullptr ? kFlipsShort : std::strtoull(text, nullptr, 10);
}

struct Counts {
  std::uint64_t flips = 0, cuts = 0, restores = 0, errors = 0, exact = 0;
  std::uint64_t payload_flips = 0, payload_checks = 0, other_checks = 0;
  std::uint64_t of_files = 0, restored_files = 0, named = 0;
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
    LimitMemory();
  }
  ~CorruptionTest() override { setrlimit(RLIMIT_AS, &address_space_); }

  // To what there is and a constant: a length that is believed then answers "out of memory", which
  // is a violation. (AddressSanitizer takes all address space there is.)
  void LimitMemory() {
    ASSERT_EQ(getrlimit(RLIMIT_AS, &address_space_), 0);
    if (kSanitized) return;
    std::ifstream statm("/proc/self/statm");
    std::uint64_t pages = 0;
    ASSERT_TRUE(statm >> pages);
    struct rlimit limit = address_space_;
    limit.rlim_cur =
        std::min<rlim_t>(limit.rlim_max, pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) +
                                             kMemoryMaxBytes);
    ASSERT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
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
    if (NamesThePlace(status)) return;
    Violation(names_[checkpoint] + where + ": " + status.ToString());
  }
  // The file, and where in it, where it is there and long enough to be one.
  static bool NamesThePlace(const Status& status) {
    static const std::regex place("[0-9a-f]{32}\\.pack(.* at [0-9]+| is missing)|/store/format");
    return status.code() == Code::kCorruption && std::regex_search(status.message(), place);
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

  bool FilesNeed(const std::string& name, std::uint64_t at) const {
    return Has(head_, name, at) ||
           std::any_of(entry_reads_.begin(), entry_reads_.end(), [&](const EntryReads& reads) {
             return names_[reads.checkpoint].starts_with("files@") && Has(reads.reads, name, at);
           });
  }

  // As users do, from a real file: what fails names the checkpoint as well.
  void RestoreReally(const std::string& name, std::uint64_t at, int bit) {
    const std::string path = tmp_ / ("store/" + name);
    FlipInFile(path, at, bit);
    for (std::size_t c = 0; c < names_.size(); ++c) {
      if (!names_[c].starts_with("files@")) continue;
      ++counts_.restored_files;
      const std::string where = ", byte " + std::to_string(at) + " of " + name;
      const Status status = RestoreFilesOf(c);
      if (status.ok()) continue;
      ++counts_.named;
      if (!NamesThePlace(status) ||
          status.message().find(names_[c].substr(0, 5)) == std::string::npos) {
        Violation("restore " + names_[c] + where + ": " + status.ToString());
      }
    }
    FlipInFile(path, at, bit);
  }
  Status RestoreFilesOf(std::size_t checkpoint) {
    std::filesystem::remove_all(tmp_ / "out");
    OpenStoreOptions how;
    how.use_index = false;
    how.threads = 1;
    CKPT_ASSIGN_OR_RETURN(auto store, Store::Open(PosixEnv(), tmp_ / "store", how));
    RestoreFilesOptions options;
    options.checkpoint = names_[checkpoint];
    options.to = tmp_ / "out";
    CKPT_RETURN_IF_ERROR(RestoreFiles(store.get(), options).status());
    for (const auto& [file, bytes] : truth_[checkpoint]) {
      if (bytes.empty() || file == "d/link") continue;
      if (ReadWholeFile(tmp_ / ("out/" + file)) != AsText(bytes))
        Violation("WRONG BYTES in " + file);
    }
    return Status();
  }
  static void FlipInFile(const std::string& path, std::uint64_t at, int bit) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte ^ (1 << bit)));
  }

  // `check` must see it, unless it is in what has no meaning (padding, ends of packs).
  void CheckSees(const std::string& name, std::uint64_t at, int bit) {
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
    bool payload;    // of a chunk
  };

  void TryPlace(const std::string& name, const Place& place, int bit, bool all) {
    TryFlip(name, place.at, bit, place.in_record);
    counts_.payload_flips += place.payload ? 1 : 0;
    if (place.payload && counts_.payload_flips % kCheckPayloadEvery == 0) {
      ++counts_.payload_checks;
      CheckSees(name, place.at, bit);
    }
    if (!place.payload && place.seen &&
        counts_.flips % (all ? kCheckEvery : kCheckEveryShort) == 0) {
      ++counts_.other_checks;
      CheckSees(name, place.at, bit);
    }
    if (!name.starts_with("packs/") || !FilesNeed(name, place.at)) return;
    if (++counts_.of_files % kRestoreFilesEvery == 0) {
      RestoreReally(name, place.at, bit);
    }
  }

  std::vector<Place> PlacesOf(const std::string& name) {
    std::vector<Place> places;
    const Bytes& bytes = env_->files().at(name).bytes;
    if (!name.starts_with("packs/")) {
      for (std::uint64_t at = 0; at < bytes.size(); ++at)
        places.push_back({at, true, true, false, false});
      return places;
    }
    Id128 id;
    EXPECT_TRUE(ParsePackFileName(name.substr(6), &id));
    auto header = DecodePackHeader(ByteSpan(bytes).first(kPackHeaderBytes));
    EXPECT_TRUE(header.ok());
    for (std::uint64_t at = 0; at < kPackHeaderBytes; ++at) {
      places.push_back({at, true, false, false, false});
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
        places.push_back({b, in_header || !chunk, small, chunk || small, chunk && !in_header});
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
  struct rlimit address_space_ {};
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
        TryPlace(name, place, place.all_bits ? i : one, stride == 1);
      }
    }
  }
  std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::cout << "proof: corruption: " << counts_.flips << " flips of " << all << " in "
            << places.size() << " files, " << counts_.restores << " restores, " << counts_.errors
            << " errors, " << counts_.exact << " exact, " << counts_.same_tables
            << " with equal tables, " << counts_.unread << " of bytes no restore reads, "
            << counts_.payload_checks << " checks of payloads, " << counts_.other_checks
            << " of the rest, " << counts_.named << " of " << counts_.restored_files
            << " restored as files named what is damaged, " << violations_ << " violations, "
            << seconds.count() << " s\n";
  EXPECT_GT(counts_.errors, 0u);
  EXPECT_GT(counts_.payload_checks, 0u);
  if (counts_.restored_files >= 300) {  // about one in thirty
    EXPECT_GT(counts_.named, 0u);
  }
}

TEST_F(CorruptionTest, CutToAnyLengthRestoresExactlyOrNamesThePlace) {
  auto begin = std::chrono::steady_clock::now();
  std::uint64_t stride = FlipsWanted() == 0 ? 1 : 1009 * (kSanitized ? 3 * kSweepStride : 1);
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
