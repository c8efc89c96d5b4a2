// What the tests of packs share: a small script of appends, and what it must read back as.
// Thread rule: values and free functions.

#ifndef CKPT_TESTS_SUPPORT_PACK_FIXTURE_H_
#define CKPT_TESTS_SUPPORT_PACK_FIXTURE_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "store/codec/hash.h"
#include "store/io/env.h"
#include "store/pack/reader.h"
#include "store/pack/writer.h"
#include "tests/support/temp_dir.h"

namespace ckpt {

// Fails the test with the status's text when it is not ok.
inline void ExpectOk(const Status& status) { ASSERT_TRUE(status.ok()) << status.ToString(); }

// The value, or the end of the test program: a test cannot go on without it.
template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) {
    ADD_FAILURE() << result.status().ToString();
    std::abort();
  }
  return *std::move(result);
}

// A fresh directory on a real disk, removed with its contents.
class TemporaryDir {
 public:
  TemporaryDir() : dir_(Must(PosixEnv()->OpenDir(tmp_.path()))) {}
  TemporaryDir(const TemporaryDir&) = delete;
  TemporaryDir& operator=(const TemporaryDir&) = delete;

  Dir* dir() { return dir_.get(); }
  const std::string& path() const { return tmp_.path(); }

 private:
  TempDir tmp_;
  std::unique_ptr<Dir> dir_;
};

inline Bytes RandomBytes(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(count);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

// A record as it was given to Append.
struct Written {
  RecordHeader header;
  Bytes payload;
  Id128 base;
  std::uint64_t offset = 0;
};

inline Written MakeChunk(std::size_t bytes, std::uint64_t seed) {
  Written chunk;
  chunk.payload = RandomBytes(bytes, seed);
  chunk.header.type = RecordType::kChunk;
  chunk.header.id = HashChunk(chunk.payload);
  return chunk;
}

inline Written MakeDelta(std::size_t bytes, std::uint64_t seed, const Id128& base) {
  Written chunk = MakeChunk(bytes + kBaseBytes, seed);
  std::memcpy(chunk.payload.data(), base.bytes.data(), kBaseBytes);
  chunk.header.codec = 16;
  chunk.header.raw_bytes = 1000;
  chunk.base = base;
  return chunk;
}

inline Written MakeRecord(RecordType type, std::size_t bytes, std::uint64_t seed) {
  Written record;
  record.payload = RandomBytes(bytes, seed);
  record.header.type = type;
  return record;
}

inline Status AppendTo(PackWriter* writer, Written* record) {
  CKPT_ASSIGN_OR_RETURN(Placed placed,
                        writer->Append(record->header, record->payload, record->base));
  record->offset = placed.offset;
  return {};
}

// Everything a reader finds, by offset; false in `second` of what lies in the unmarked tail.
struct Found {
  std::map<std::uint64_t, std::pair<ChunkEntry, bool>> chunks;
  std::map<std::uint64_t, std::pair<RecordEntry, bool>> records;
};

inline Found AllFound(const PackContents& contents) {
  Found found;
  for (const auto& chunk : contents.chunks) found.chunks[chunk.offset] = {chunk, true};
  for (const auto& record : contents.records) found.records[record.offset] = {record, true};
  for (const auto& chunk : contents.tail_chunks) found.chunks[chunk.offset] = {chunk, false};
  for (const auto& record : contents.tail_records) found.records[record.offset] = {record, false};
  return found;
}

// True when the reader lists `record` and hands out exactly its bytes.
inline bool ReadsBack(const PackReader& reader, const Found& found, const Written& record) {
  if (record.header.type != RecordType::kChunk) {
    auto at = found.records.find(record.offset);
    if (at == found.records.end() || at->second.first.type != record.header.type) return false;
    Bytes payload;
    return reader.ReadRecord(record.offset, &payload).ok() && payload == record.payload;
  }
  auto at = found.chunks.find(record.offset);
  if (at == found.chunks.end()) return false;
  const ChunkEntry& entry = at->second.first;
  if (entry.id != record.header.id || entry.base != record.base ||
      entry.stored_bytes != record.payload.size()) {
    return false;
  }
  Bytes payload(entry.stored_bytes);
  return reader.ReadChunkPayload(entry, true, payload).ok() && payload == record.payload;
}

inline Id128 TestStoreUuid() {
  Id128 uuid;
  uuid.bytes.fill(0x5e);
  return uuid;
}

inline PackWriterOptions TestWriterOptions() {
  PackWriterOptions options;
  options.store_uuid = TestStoreUuid();
  options.buffer_bytes = 64u << 10;
  return options;
}

inline std::unique_ptr<PackReader> OpenReader(Dir* dir, const Id128& pack_id) {
  return Must(PackReader::Open(dir, pack_id, TestStoreUuid()));
}

inline Bytes ReadFileBytes(Dir* dir, const std::string& name) {
  auto file = Must(dir->OpenFile(name, {}));
  Bytes bytes(Must(file->Stat()).size_bytes);
  ExpectOk(file->ReadExactAt(0, bytes));
  return bytes;
}

inline void WriteFileBytes(Dir* dir, const std::string& name, ByteSpan bytes) {
  auto file = Must(dir->OpenFile(name, {.mode = OpenMode::kReadOrCreate}));
  ExpectOk(file->Truncate(bytes.size()));
  ExpectOk(file->WriteAt(0, bytes));
  ExpectOk(file->Sync());  // a simulated disk keeps each change until then, and looks through them
}

// A sim world's directory "/packs".
inline std::unique_ptr<Dir> PacksDir(Env* env) {
  if (!env->OpenDir("/packs").ok()) ExpectOk(env->MakeDir("/packs", 0700));
  return Must(env->OpenDir("/packs"));
}

}  // namespace ckpt

#endif  // CKPT_TESTS_SUPPORT_PACK_FIXTURE_H_
