// Values of the index, as they are and sealed as if we had written them.

#include "store/index/index_rows.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ckpt;                  // NOLINT
  using namespace ckpt::index_internal;  // NOLINT
  FuzzInput in(data, size);
  const auto table = static_cast<Table>(in.U8() % kTables);
  const bool sealed = in.U8() % 2 == 1;
  ByteSpan key = in.Take(in.U8());
  ByteSpan rest = in.Rest();
  Bytes value(rest.begin(), rest.end());
  const RowSealer sealer(table == kMeta ? 0 : 7);
  if (sealed) sealer.Seal(table, key, &value);
  ChunkRow chunk;
  PackCoverage pack;
  std::uint32_t number = 0;
  RecordRow record;
  IdentityRow identity;
  Id128 id;
  std::copy_n(key.begin(), std::min<std::size_t>(key.size(), 16),
              std::as_writable_bytes(std::span(id.bytes)).begin());
  if (DecodeChunkRow(sealer, id, value, &chunk)) FUZZ_CHECK(ValidateChunk(chunk.entry).ok());
  (void)DecodePackRow(sealer, key, value, &pack);
  (void)DecodeNumberRow(sealer, table, key, value, &number);
  if (DecodeRecordRow(sealer, key, value, &record)) {
    FUZZ_CHECK(record.value.size() <= value.size());
  }
  (void)DecodeIdentity(value, &identity);
  Bytes prefix(key.begin(), key.end());
  (void)PrefixEnd(&prefix);
  return 0;
}
