// A pack whose headers and checksums are true and whose records are anybody's: directories that
// point elsewhere, marks out of order, records cut short. Then the same with some bytes changed.

#include <memory>

#include "store/codec/hash.h"
#include "store/pack/reader.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/support/sim_world.h"

namespace ckpt {
namespace {

const Id128 kPack = [] {
  Id128 id;
  id.bytes.fill(0x11);
  return id;
}();
const Id128 kStore = [] {
  Id128 id;
  id.bytes.fill(0x22);
  return id;
}();

void PutRecord(FuzzInput* in, Bytes* file) {
  RecordHeader header;
  header.type = static_cast<RecordType>(in->U8() % 14);
  header.codec = in->U8() % 34;
  header.codec_param = in->U8();
  header.writer_id = in->U8();
  header.id.bytes[0] = in->U8();
  const std::uint8_t how = in->U8();
  ByteSpan payload = in->Take(in->U16());
  header.stored_bytes = payload.size() + (how & 1 ? in->U16() : 0);
  header.raw_bytes = how & 2 ? in->U32() : payload.size();
  header.payload_checksum = how & 4 ? in->U64() : Checksum64(payload);
  if (how & 8) file->resize(RoundUp(file->size(), kBlockBytes));
  const std::size_t at = file->size();
  file->resize(at + kRecordHeaderBytes);
  EncodeRecordHeader(header, kPack, at, file->data() + at);
  file->insert(file->end(), payload.begin(), payload.end());
  file->resize(RoundUp(file->size(), kRecordAlignBytes));
}

Bytes MakePack(FuzzInput* in) {
  const std::uint8_t changes = in->U8() % 4;
  Bytes file = EncodePackHeader({kPack, kStore, false, 0, kStore});
  for (int records = in->U8() % 16; records > 0 && !in->empty(); --records) PutRecord(in, &file);
  for (std::uint8_t i = 0; i < changes; ++i) {
    file[in->U32() % file.size()] ^= static_cast<std::byte>(in->U8());
  }
  if (in->U8() % 4 == 1) file.resize(in->U32() % (file.size() + 1));
  return file;
}

void Read(const PackReader& reader) {
  const std::uint64_t bytes = *reader.FileBytes();
  for (bool records_only : {false, true}) {
    auto contents = reader.ReadFrom(0, records_only);
    if (!contents.ok()) continue;
    FUZZ_CHECK(contents->durable_end <= contents->end || contents->end == 0);
    FUZZ_CHECK(contents->file_bytes <= bytes);
    Bytes payload;
    for (const ChunkEntry& entry : contents->chunks) {
      FUZZ_CHECK(entry.offset + kRecordHeaderBytes + entry.stored_bytes <= bytes);
      payload.resize(entry.stored_bytes);
      (void)reader.ReadChunkPayload(entry, true, payload);
    }
    for (const RecordEntry& entry : contents->records)
      (void)reader.ReadRecord(entry.offset, &payload);
  }
  for (int i = 0; i < 4; ++i) {
    Id128 id;
    id.bytes[0] = static_cast<std::uint8_t>(i);
    (void)reader.FindInSealed(id);
  }
  (void)reader.ReadFrom(kPackHeaderBytes + 64);
}

}  // namespace
}  // namespace ckpt

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ckpt;  // NOLINT
  FuzzInput in(data, size);
  const Bytes bytes = MakePack(&in);
  SimWorld world(1);
  FUZZ_CHECK(world.MakeDir("/packs", 0700).ok());
  auto dir = *world.OpenDir("/packs");
  {
    auto file = *dir->OpenFile(PackFileName(kPack), {.mode = OpenMode::kCreate});
    FUZZ_CHECK(file->WriteAt(0, bytes).ok());
  }
  for (auto rule : {PackReader::BadHeader::kRefuse, PackReader::BadHeader::kSalvage}) {
    auto reader = PackReader::Open(dir.get(), kPack, kStore, rule);
    if (reader.ok()) Read(**reader);
  }
  return 0;
}
