// What the tests of looking into a store share: a store in a temporary folder, saves of files and
// arrays, and bytes to damage.

#ifndef CKPT_TESTS_ENGINE_LOOK_FIXTURE_H_
#define CKPT_TESTS_ENGINE_LOOK_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "store/engine/array_io.h"
#include "store/engine/save_files.h"
#include "store/engine/store.h"
#include "tests/support/temp_dir.h"

namespace ckpt {

#define ASSERT_OK(expression)                \
  do {                                       \
    const Status ok_ = (expression);         \
    ASSERT_TRUE(ok_.ok()) << ok_.ToString(); \
  } while (false)

class LookTest : public ::testing::Test {
 protected:
  LookTest() {
    std::filesystem::create_directory(tmp_ / "d");
    std::filesystem::current_path(tmp_.path());
    options_.use_index = false;
  }
  ~LookTest() override { std::filesystem::current_path("/"); }

  std::unique_ptr<Store> Open(OpenStoreOptions::Mode mode = OpenStoreOptions::Mode::kCreate) {
    OpenStoreOptions options = options_;
    options.mode = mode;
    auto store = Store::Open(PosixEnv(), tmp_ / "store", options);
    EXPECT_TRUE(store.ok()) << store.status().ToString();
    return store.ok() ? *std::move(store) : nullptr;
  }
  std::unique_ptr<Store> OpenToRead() { return Open(OpenStoreOptions::Mode::kRead); }

  static Saved SaveDir(Store* store, const std::string& series = "melt") {
    SaveFilesOptions options;
    options.save.series = series;
    auto saved = SaveFiles(store, {"d"}, options);
    EXPECT_TRUE(saved.ok()) << saved.status().ToString();
    return saved.ok() ? *saved : Saved();
  }

  using Arrays = std::map<std::string, std::vector<double>>;
  static Saved SaveArrays(Store* store, const Arrays& arrays, const std::string& series = "melt") {
    SaveOptions options;
    options.series = series;
    auto writer = ArrayWriter::Begin(store, options);
    EXPECT_TRUE(writer.ok()) << writer.status().ToString();
    if (!writer.ok()) return Saved();
    // Names in no particular order are allowed: the last first.
    for (auto it = arrays.rbegin(); it != arrays.rend(); ++it) {
      ArrayShape shape;
      shape.dtype = Dtype::kFloat64;
      shape.shape = {it->second.size()};
      Status s = (*writer)->Put(it->first, std::as_bytes(std::span(it->second)), shape);
      EXPECT_TRUE(s.ok()) << s.ToString();
    }
    auto saved = (*writer)->End();
    EXPECT_TRUE(saved.ok()) << saved.status().ToString();
    return saved.ok() ? *saved : Saved();
  }

  static std::vector<double> Numbers(std::size_t count, std::uint64_t seed) {
    std::string bytes = RandomText(count * sizeof(double), seed);
    std::vector<double> numbers(count);
    for (std::size_t i = 0; i < count; ++i) {
      numbers[i] = static_cast<double>(static_cast<unsigned char>(bytes[i])) +
                   static_cast<double>(i) * 1e-3 + static_cast<double>(seed);
    }
    return numbers;
  }

  // Paths of the packs, smallest first, without the reserve.
  std::vector<std::string> Packs() const {
    std::vector<std::pair<std::uintmax_t, std::string>> packs;
    for (const auto& file : std::filesystem::directory_iterator(tmp_ / "store/packs")) {
      std::string header = ReadWholeFile(file.path().string()).substr(0, kPackHeaderBytes);
      auto decoded = DecodePackHeader(AsBytes(header));
      if (decoded.ok() && decoded->reserve) continue;
      packs.emplace_back(file.file_size(), file.path().string());
    }
    std::sort(packs.begin(), packs.end());
    std::vector<std::string> paths;
    for (auto& [size, path] : packs) paths.push_back(path);
    return paths;
  }
  std::string BigPack() const { return Packs().back(); }

  static void FlipByte(const std::string& path, std::uint64_t offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    char byte = 0;
    file.get(byte);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(byte ^ 0x40));
  }

  // The payload's first byte of each chunk in a pack, by id.
  static std::map<Id128, std::uint64_t> PayloadPlaces(Store* store, const std::string& path) {
    Id128 id;
    EXPECT_TRUE(ParsePackFileName(std::filesystem::path(path).filename().string(), &id));
    std::map<Id128, std::uint64_t> places;
    auto reader = PackReader::Open(store->packs_dir(), id, store->format().uuid);
    EXPECT_TRUE(reader.ok());
    auto contents = (*reader)->ReadFrom(0);
    EXPECT_TRUE(contents.ok());
    for (const ChunkEntry& e : contents->chunks) places[e.id] = e.offset + kRecordHeaderBytes;
    return places;
  }

  TempDir tmp_;
  OpenStoreOptions options_;
};

}  // namespace ckpt

#endif  // CKPT_TESTS_ENGINE_LOOK_FIXTURE_H_
