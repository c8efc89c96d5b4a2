#include "store/manifest/manifest.h"

#include "store/manifest/record_coding.h"
#include "store/pack/format.h"

namespace ckpt {
namespace {

constexpr std::size_t kManifestBytesMax = 64u << 20;
constexpr std::size_t kTagsMax = 1024;
constexpr std::size_t kTagValueMax = 4096;
constexpr std::size_t kPacksMax = 1u << 20;
constexpr std::size_t kExtensionsMax = 1024;
constexpr std::size_t kExtensionBytesMax = 1u << 20;
constexpr std::size_t kPackRelianceBytes = 24;

Status CheckTags(const Manifest& m) {
  CKPT_RETURN_IF_ERROR(CheckAtMost(m.tags.size(), kTagsMax, "number of tags"));
  for (const auto& [key, value] : m.tags) {
    if (key.empty()) return InvalidArgument("a tag needs a key");
    CKPT_RETURN_IF_ERROR(CheckAtMost(key.size(), kShortStringMax, "bytes of a tag's key"));
    CKPT_RETURN_IF_ERROR(CheckAtMost(value.size(), kTagValueMax, "bytes of a tag's value"));
  }
  return {};
}

Status CheckExtensions(const Manifest& m) {
  CKPT_RETURN_IF_ERROR(CheckAtMost(m.extensions.size(), kExtensionsMax, "number of extensions"));
  for (const auto& [key, blob] : m.extensions) {
    CKPT_RETURN_IF_ERROR(CheckAtMost(blob.size(), kExtensionBytesMax, "bytes of an extension"));
  }
  return {};
}

Status CheckManifest(const Manifest& m) {
  CKPT_RETURN_IF_ERROR(ValidateSeriesName(m.series));
  CKPT_RETURN_IF_ERROR(CheckAttemptRef(m.attempt));
  CKPT_RETURN_IF_ERROR(CheckParent(m.has_parent, m.parent_attempt, m.parent_step));
  CKPT_RETURN_IF_ERROR(CheckStep(m.step));
  if (m.ranks == 0 || m.ranks > kRanksMax || m.rank >= m.ranks) {
    return InvalidArgument("rank " + std::to_string(m.rank) + " of " + std::to_string(m.ranks) +
                           " ranks is not possible");
  }
  CKPT_RETURN_IF_ERROR(CheckAtMost(m.host_name.size(), kShortStringMax, "bytes of the host name"));
  CKPT_RETURN_IF_ERROR(CheckAtMost(m.job_id.size(), kShortStringMax, "bytes of the job id"));
  CKPT_RETURN_IF_ERROR(CheckTags(m));
  CKPT_RETURN_IF_ERROR(CheckTreeRef(m.entry_table));
  CKPT_RETURN_IF_ERROR(CheckAtMost(m.packs.size(), kPacksMax, "packs relied on"));
  return CheckExtensions(m);
}

void WriteSizes(const Manifest& m, ByteWriter* out) {
  for (std::uint64_t size : {m.logical_bytes, m.read_bytes, m.new_bytes, m.stored_bytes, m.chunks,
                             m.new_chunks, m.entries, m.files}) {
    out->U64(size);
  }
}

void ReadSizes(ByteReader* in, Manifest* m) {
  for (std::uint64_t* size : {&m->logical_bytes, &m->read_bytes, &m->new_bytes, &m->stored_bytes,
                              &m->chunks, &m->new_chunks, &m->entries, &m->files}) {
    *size = in->U64();
  }
}

void WriteLists(const Manifest& m, ByteWriter* out) {
  out->U32(static_cast<std::uint32_t>(m.tags.size()));
  for (const auto& [key, value] : m.tags) {
    out->String(key);
    out->String(value);
  }
  EncodeTreeRef(m.entry_table, out);
  out->U32(static_cast<std::uint32_t>(m.packs.size()));
  for (const PackReliance& pack : m.packs) {
    out->Id(pack.pack_id);
    out->U64(pack.up_to);
  }
  out->U32(static_cast<std::uint32_t>(m.extensions.size()));
  for (const auto& [key, blob] : m.extensions) {
    out->U16(key);
    out->Blob(blob);
  }
}

void ReadTags(ByteReader* in, Manifest* m) {
  std::uint32_t count = in->U32();
  if (count > kTagsMax) in->Fail();
  for (std::uint32_t i = 0; i < count && in->ok(); ++i) {
    std::string key = in->String(kShortStringMax);
    std::string value = in->String(kTagValueMax);
    m->tags.emplace_back(std::move(key), std::move(value));
  }
}

void ReadPacks(ByteReader* in, Manifest* m) {
  std::uint32_t count = in->U32();
  if (count > kPacksMax || count > in->remaining() / kPackRelianceBytes) in->Fail();
  if (!in->ok()) return;
  m->packs.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    Id128 pack_id = in->Id();
    m->packs.push_back({pack_id, in->U64()});
  }
}

void ReadExtensions(ByteReader* in, Manifest* m) {
  std::uint32_t count = in->U32();
  if (count > kExtensionsMax) in->Fail();
  for (std::uint32_t i = 0; i < count && in->ok(); ++i) {
    std::uint16_t key = in->U16();
    ByteSpan blob = in->Blob(kExtensionBytesMax);
    m->extensions.emplace_back(key, Bytes(blob.begin(), blob.end()));
  }
}

void ReadLists(ByteReader* in, Manifest* m) {
  ReadTags(in, m);
  m->entry_table = DecodeTreeRef(in);
  ReadPacks(in, m);
  ReadExtensions(in, m);
}

void ReadIdentity(ByteReader* in, Manifest* m) {
  m->attempt.id = in->Id();
  m->attempt.ordinal = in->U64();
  m->parent_attempt = in->Id();
  m->parent_step = in->I64();
  m->series = in->String(kSeriesStringMax);
  m->step = in->I64();
  m->rank = in->U32();
  m->ranks = in->U32();
  m->created_ns = in->I64();
  m->host = in->Id();
  m->host_name = in->String(kShortStringMax);
  m->job_id = in->String(kShortStringMax);
}

void WriteIdentity(const Manifest& m, ByteWriter* out) {
  out->Id(m.attempt.id);
  out->U64(m.attempt.ordinal);
  out->Id(m.parent_attempt);
  out->I64(m.parent_step);
  out->String(m.series);
  out->I64(m.step);
  out->U32(m.rank);
  out->U32(m.ranks);
  out->I64(m.created_ns);
  out->Id(m.host);
  out->String(m.host_name);
  out->String(m.job_id);
}

}  // namespace

Result<Bytes> EncodeManifest(const Manifest& manifest) {
  CKPT_RETURN_IF_ERROR(CheckManifest(manifest));
  Bytes payload;
  ByteWriter out(&payload);
  out.U16(kRecordVersion);
  out.U16(manifest.has_parent ? kFlagHasParent : 0);
  WriteIdentity(manifest, &out);
  WriteSizes(manifest, &out);
  WriteLists(manifest, &out);
  CKPT_RETURN_IF_ERROR(CheckAtMost(payload.size(), kManifestBytesMax, "bytes of a manifest"));
  return payload;
}

Result<Manifest> DecodeManifest(ByteSpan payload) {
  CKPT_RETURN_IF_ERROR(AsCorruption(
      CheckAtMost(payload.size(), kManifestBytesMax, "bytes of a manifest"), "manifest"));
  ByteReader in(payload);
  CKPT_RETURN_IF_ERROR(ReadRecordVersion(&in, "manifest"));
  Manifest m;
  std::uint16_t flags = in.U16();
  if (flags & ~kFlagHasParent) in.Fail();
  m.has_parent = (flags & kFlagHasParent) != 0;
  ReadIdentity(&in, &m);
  ReadSizes(&in, &m);
  ReadLists(&in, &m);
  CKPT_RETURN_IF_ERROR(CheckRecordDone(in, "manifest"));
  CKPT_RETURN_IF_ERROR(AsCorruption(CheckManifest(m), "manifest"));
  return m;
}

}  // namespace ckpt
