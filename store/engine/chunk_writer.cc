#include "store/engine/chunk_writer.h"

#include <algorithm>
#include <utility>

#include "store/base/quietly.h"
#include "store/codec/hash.h"
#include "store/engine/record_index.h"

namespace ckpt {

namespace {

// A long save looks for a new epoch each time it has put so much.
constexpr std::size_t kPollBytes = 64u << 20;
constexpr int kPackTries = 16;

}  // namespace

Result<std::unique_ptr<ChunkWriter>> ChunkWriter::Open(Store* store, const WriterRecord& job,
                                                       Effort effort) {
  std::unique_ptr<ChunkWriter> writer(new ChunkWriter(store, job, effort));
  CKPT_RETURN_IF_ERROR(writer->BeginWriting());
  return writer;
}

// Without memory an unfinished pack keeps its name; collection returns it.
ChunkWriter::~ChunkWriter() {
  Quietly([this] { Abandon(); });
}

// Locks the pack, then reads `collect`: a collector that did not find the lock has this writer read
// of its epoch. A pack that is condemned, or lost its name meanwhile, is let go.
Status ChunkWriter::BeginWriting() {
  std::unique_ptr<PackWriter> before = std::move(pack_);  // held until the new one has acknowledged
  Status begun = BeginIn(before != nullptr);
  if (pack_ == nullptr) pack_ = std::move(before);
  return begun;
}

Status ChunkWriter::BeginIn(bool continues) {
  CKPT_ASSIGN_OR_RETURN(bool network, store_->packs_dir()->OnNetworkFileSystem());
  std::set<Id128> refused;
  CollectState state;
  for (int tries = 0; pack_ == nullptr; ++tries) {
    auto pack = TakePack(refused);
    if (!pack.ok() && pack.status().code() == Code::kBusy && tries < kPackTries) continue;
    if (!pack.ok()) return pack.status();
    CKPT_RETURN_IF_ERROR(Introduce(pack->get()));
    if (network) CKPT_RETURN_IF_ERROR((*pack)->Announce());
    CKPT_ASSIGN_OR_RETURN(state, ReadCollectState(store_));
    CKPT_ASSIGN_OR_RETURN(bool named, (*pack)->HasItsName());
    Id128 id = (*pack)->pack_id();
    if (named && !state.Condemns(id) && !state.Breaks(id)) {
      pack_ = *std::move(pack);
    } else if (tries >= kPackTries) {
      return Busy("every pack in " + store_->packs_dir()->path() + " is being collected");
    } else {
      refused.insert(id);
    }
  }
  // A pack that is there already did not grow by its being continued.
  start_offset_ = pack_->durable_end() > kPackHeaderBytes ? pack_->end_offset() : 0;
  if (continues && state == seen_) return StageAck();  // the same claims again
  return Acknowledge(state);
}

Result<std::unique_ptr<PackWriter>> ChunkWriter::TakePack(const std::set<Id128>& refused) {
  PackWriterOptions options;
  options.store_uuid = store_->format().uuid;
  options.pack_bytes_max = store_->format().pack_bytes_max;
  options.permissions = store_->file_permissions();
  for (const auto& [id, state] : store_->PackStates()) {
    if (state.reserve || state.broken || state.file_bytes >= options.pack_bytes_max) continue;
    if (!state.unread.empty() || store_->IsLost(id))
      continue;  // what is amiss in it stays as it is
    if (refused.contains(id) || seen_.Condemns(id)) continue;
    if (store_->IsHollow(id)) continue;  // it is to be rewritten
    auto pack = PackWriter::Continue(store_->env(), store_->packs_dir(), id, options);
    if (!pack.ok() && pack.status().code() == Code::kNoSpace) return pack.status();
    if (pack.ok() && *pack != nullptr) return pack;
  }
  return PackWriter::Create(store_->env(), store_->packs_dir(), options);
}

// The first thing in a writer's first stage.
Status ChunkWriter::Introduce(PackWriter* pack) const {
  if (job_.job_id.empty()) return Status();
  CKPT_ASSIGN_OR_RETURN(Bytes payload, EncodeWriter(job_));
  RecordHeader header;
  header.type = RecordType::kWriter;
  return pack->Append(header, payload).status();
}

Status ChunkWriter::Fail(Status status) {
  if (failure_.ok() && !status.ok()) failure_ = std::move(status);
  return failure_;
}

void ChunkWriter::Rely(const Id128& pack_id, std::uint64_t up_to) {
  std::uint64_t& known = hits_[pack_id];
  known = std::max(known, up_to);
}

// Below a mark it is (FindDurable); not in a pack that may be gone before we commit.
bool ChunkWriter::MayHit(const ChunkPlace& place) const { return !seen_.Condemns(place.pack_id); }

void ChunkWriter::Rely(const ChunkPlace& place) {
  Rely(place.pack_id, RoundUp(place.entry.offset + kRecordHeaderBytes + place.entry.stored_bytes,
                              kRecordAlignBytes));
}

Status ChunkWriter::Put(ByteSpan raw, const Id128& id, const ChunkForm& form, ChunkEncoder* encoder,
                        const Id128* before) {
  return PutCounted(raw, id, {form, before, true}, encoder);
}

Status ChunkWriter::PutCounted(ByteSpan raw, const Id128& id, const PutOptions& options,
                               ChunkEncoder* encoder) {
  CKPT_ASSIGN_OR_RETURN(Hit hit, HitOrOwn(id, raw.size()));
  if (hit == Hit::kThere) return Status();
  const EffortRule rule = RuleOf(OrElse(options.form.effort, effort_), store_->format().level);
  EncodeOptions coding;
  coding.level = rule.level;
  coding.element_width = options.form.element_width;
  coding.thorough = rule.thorough;
  coding.verify = store_->options().verify;
  const bool may_be_delta = store_->options().deltas && rule.deltas && options.before != nullptr &&
                            hit == Hit::kOwn && raw.size() <= kDeltaBytesMost;
  Status put = PutNew(raw, id, options, coding, may_be_delta ? &rule : nullptr, encoder);
  if (put.ok()) return Status();
  std::lock_guard lock(mutex_);
  return Fail(std::move(put));
}

Status ChunkWriter::PutNew(ByteSpan raw, const Id128& id, const PutOptions& options,
                           const EncodeOptions& coding, const EffortRule* delta_rule,
                           ChunkEncoder* encoder) {
  std::optional<Encoded> full;
  if (delta_rule != nullptr) {
    CKPT_ASSIGN_OR_RETURN(bool done,
                          PutDelta(raw, id, options, coding, *delta_rule, encoder, &full));
    if (done) return Status();
  }
  if (!full.has_value()) {
    CKPT_ASSIGN_OR_RETURN(full, encoder->encoder.Encode(raw, coding));
  }
  return AppendChunk(raw, id, *full, options.content).status();
}

// Deltas from a new base begin with about the difference from the chunk before.
Result<bool> ChunkWriter::NewBasePays(ByteSpan raw, const DeltaBase& base, ChunkEncoder* encoder,
                                      Encoded* delta) {
  if (!ReadDeltaBefore(store_, *base.before, encoder)) return true;
  encoder->kept.assign(delta->bytes.begin(), delta->bytes.end());
  delta->bytes = encoder->kept;
  EncodeOptions coding;
  coding.level = 1;
  coding.element_width = base.before->entry.codec_param;
  coding.verify = false;
  CKPT_ASSIGN_OR_RETURN(auto step, encoder->encoder.EncodeDelta(raw, encoder->before, Id128(),
                                                                coding, delta->bytes.size() / 2));
  return step.has_value();
}

// False: it is to be stored in full. What the base takes stands for what the chunk would; where the
// difference is no small part of that, the chunk itself is asked: *full.
Result<bool> ChunkWriter::PutDelta(ByteSpan raw, const Id128& id, const PutOptions& options,
                                   const EncodeOptions& coding, const EffortRule& rule,
                                   ChunkEncoder* encoder, std::optional<Encoded>* full) {
  if (!deltas_.WorthTrying()) return false;
  std::uint64_t looked_at = 0;
  {
    std::lock_guard lock(mutex_);
    looked_at = changes_seen_;
  }
  const auto base = FindDeltaBase(store_, *options.before, raw.size());
  if (!base.has_value() || !ReadDeltaBase(store_, base->place, encoder)) return false;
  std::uint64_t full_bytes = base->place.entry.stored_bytes;
  CKPT_ASSIGN_OR_RETURN(
      auto delta, encoder->encoder.EncodeDelta(raw, encoder->base, base->place.entry.id, coding,
                                               DeltaBytesThatPay(rule, full_bytes)));
  if (delta.has_value() && delta->bytes.size() > full_bytes / 8) {
    CKPT_ASSIGN_OR_RETURN(*full, encoder->encoder.Encode(raw, coding));
    full_bytes = std::min<std::uint64_t>(full_bytes, (*full)->bytes.size());
  }
  const bool pays = delta.has_value() && delta->bytes.size() <= DeltaBytesThatPay(rule, full_bytes);
  deltas_.Tried(pays);
  if (!pays) return false;
  if (NewBaseIsDue(delta->bytes.size(), base->delta_bytes(), full_bytes)) {
    CKPT_ASSIGN_OR_RETURN(bool new_base, NewBasePays(raw, *base, encoder, &*delta));
    if (new_base) return false;
  }
  return AppendChunk(raw, id, *delta, options.content, &base->place, looked_at);
}

// The base was relied upon for the checkpoint that the delta was appended for; this may be another,
// and since a later epoch was seen the base may be gone.
ChunkWriter::Hit ChunkWriter::HitOwn(const Id128& id) {
  if (!own_.contains(id)) return Hit::kOwn;
  auto base = own_bases_.find(id);
  if (base == own_bases_.end()) return Hit::kThere;
  if (base->second.looked_at == changes_seen_ && MayHit(base->second.place)) {
    Rely(base->second.place);
    return Hit::kThere;
  }
  own_bases_.erase(base);
  return Hit::kOwnInFull;
}

Result<ChunkWriter::Hit> ChunkWriter::HitOrOwn(const Id128& id, std::size_t raw_bytes) {
  std::unique_lock lock(mutex_);
  CKPT_RETURN_IF_ERROR(Status(failure_));
  CKPT_RETURN_IF_ERROR(Advance(raw_bytes));
  for (;;) {
    if (Hit own = HitOwn(id); own != Hit::kOwn) return own;
    const std::uint64_t looked_at = changes_seen_;
    lock.unlock();
    bool known = false;
    const auto found = FindWhole(store_, id, &known);
    lock.lock();
    CKPT_RETURN_IF_ERROR(Status(failure_));
    // Another thread acknowledged meanwhile: what was found may be of an epoch that is over.
    if (changes_seen_ != looked_at) continue;
    if (found.has_value() && found->reads && found->place.entry.raw_bytes == raw_bytes &&
        MayHit(found->place) && (!found->base.has_value() || MayHit(*found->base))) {
      Rely(found->place);
      if (found->base.has_value()) Rely(*found->base);
      return Hit::kThere;
    }
    if (!own_.insert(id).second) return Hit::kThere;  // another thread is at it
    return known || found.has_value() ? Hit::kOwnInFull : Hit::kOwn;
  }
}

Result<bool> ChunkWriter::AppendChunk(ByteSpan raw, const Id128& id, const Encoded& encoded,
                                      bool content, const ChunkPlace* base,
                                      std::uint64_t looked_at) {
  RecordHeader header;
  header.type = RecordType::kChunk;
  header.codec = static_cast<std::uint8_t>(encoded.codec);
  header.codec_param = encoded.param;
  header.raw_bytes = raw.size();
  header.id = id;
  std::lock_guard lock(mutex_);
  CKPT_RETURN_IF_ERROR(Status(failure_));
  if (pack_->BeyondLimit()) {
    CKPT_RETURN_IF_ERROR(RollOver());
    own_.insert(id);
  }
  if (base != nullptr) {  // as a hit on it (HitOrOwn)
    if (changes_seen_ != looked_at || !MayHit(*base)) return false;
    Rely(*base);
  }
  CKPT_ASSIGN_OR_RETURN(Placed placed, pack_->Append(header, encoded.bytes,
                                                     base != nullptr ? base->entry.id : Id128()));
  (void)placed;
  if (base != nullptr) own_bases_[id] = {*base, looked_at};
  if (!content) return true;
  ++counts_.new_chunks;
  counts_.new_bytes += raw.size();
  return true;
}

// Chunks other threads are encoding stay in own_: they go to the next pack. The full pack is one
// the save relies on like any other from here on, so it is among the hits before its lock is let
// go.
Status ChunkWriter::RollOver() {
  CKPT_RETURN_IF_ERROR(pack_->Seal());
  staged_ = false;  // it is durable
  Id128 id = pack_->pack_id();
  Rely(id, pack_->end_offset());
  counts_.appended_bytes += pack_->end_offset() - start_offset_;
  PackContents news = pack_->TakeDurableNews();
  for (const ChunkEntry& entry : news.chunks) {
    own_.erase(entry.id);
    own_bases_.erase(entry.id);
  }
  CKPT_RETURN_IF_ERROR(store_->Publish(id, std::move(news)));
  return BeginWriting();
}

Status ChunkWriter::RollOverBeyond(std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  CKPT_RETURN_IF_ERROR(Status(failure_));
  return pack_->end_offset() < bytes ? Status() : Fail(RollOver());
}

// ---- collection -------------------------------------------------------------------------------

Status ChunkWriter::Advance(std::size_t bytes) {
  unpolled_bytes_ += bytes;
  if (unpolled_bytes_ < kPollBytes) return Status();
  unpolled_bytes_ = 0;
  return Acknowledge();
}

Status ChunkWriter::PollEpoch() {
  std::lock_guard lock(mutex_);
  CKPT_RETURN_IF_ERROR(Status(failure_));
  return Acknowledge();
}

Status ChunkWriter::Acknowledge() {
  auto state = ReadCollectState(store_);
  if (!state.ok()) return Fail(state.status());
  if (*state == seen_) return Status();
  return Acknowledge(*state);
}

// No hit on a condemned pack may follow the acknowledgement, and no claim can: so the list is taken
// over, the store looked at and the claims computed before it is staged, all under mutex_.
Status ChunkWriter::Acknowledge(const CollectState& state) {
  bool first = !std::exchange(began_, true);  // has relied on nothing; its owner refreshes
  seen_ = state;
  ++changes_seen_;
  if (state.Breaks(pack_->pack_id())) return Fail(CheckNotBroken());
  if (!first) {
    if (Status s = store_->Refresh(); !s.ok()) return Fail(std::move(s));
    if (Status s = Substitute(); !s.ok()) return Fail(std::move(s));
  }
  if (state.phase == CollectPhase::kIdle || acknowledged_epoch_ >= state.epoch) return Status();
  if (Status s = LookForParent(); !s.ok()) return Fail(std::move(s));
  claims_.clear();
  auto claim = [&](const Packs& packs) {
    for (const auto& [id, up_to] : packs) {
      if (state.Condemns(id)) claims_.push_back(id);
    }
  };
  claim(hits_);
  if (parent_gone_) claim(inherited_);
  std::sort(claims_.begin(), claims_.end());
  claims_.erase(std::unique(claims_.begin(), claims_.end()), claims_.end());
  acknowledged_epoch_ = state.epoch;
  return StageAck();
}

Status ChunkWriter::Substitute() {
  if (inherited_.empty()) return Status();
  std::vector<PackReliance> list;
  for (const auto& [id, up_to] : inherited_) list.push_back({id, up_to});
  CKPT_ASSIGN_OR_RETURN(auto resolved, store_->ResolvePacks(list));
  inherited_.clear();
  for (const PackReliance& pack : resolved) inherited_[pack.pack_id] = pack.up_to;
  return Status();
}

Status ChunkWriter::LookForParent() {
  if (!parent_.has_value()) return Status();
  Tombstone tombstone;
  tombstone.series = parent_->series;
  tombstone.attempt = parent_->attempt;
  tombstone.step = parent_->step;
  return store_->ScanRecords(TombstoneKey(tombstone), false, [&](ByteSpan, ByteSpan, const Id128&) {
    parent_gone_ = true;
    return false;
  });
}

// Not flushed: a host that dies has no writers that would have to be waited for.
Status ChunkWriter::StageAck() {
  if (seen_.phase == CollectPhase::kIdle || acknowledged_epoch_ != seen_.epoch) return Status();
  AckRecord ack;
  ack.epoch = acknowledged_epoch_;
  ack.claimed = claims_;
  RecordHeader header;
  header.type = RecordType::kAck;
  auto placed = pack_->Append(header, EncodeAck(ack));
  if (!placed.ok()) return Fail(placed.status());
  return Fail(pack_->Stage());
}

// After the flush, before anybody is told: a writer that was declared dead has no pack any more.
Status ChunkWriter::CheckNotBroken() {
  CKPT_ASSIGN_OR_RETURN(CollectState state, ReadCollectState(store_));
  CKPT_ASSIGN_OR_RETURN(bool named, pack_->HasItsName());
  if (named && !state.Breaks(pack_->pack_id())) return Status();
  return IoError(
      "this writer was declared dead while it was away (by gc --break-host, or because its job was"
      " started again elsewhere): nothing of this save is kept; save again");
}

void ChunkWriter::OfferInheritance(const Manifest& parent) {
  std::lock_guard lock(mutex_);
  parent_ = Parent{parent.series, parent.attempt, parent.step};
  parent_gone_ = false;
  inherited_.clear();
  inherited_used_ = false;
  for (const PackReliance& pack : parent.packs) inherited_[pack.pack_id] = pack.up_to;
}

Status ChunkWriter::StageManifest(Manifest* manifest, Behind behind) {
  std::lock_guard lock(mutex_);
  CKPT_RETURN_IF_ERROR(Status(failure_));
  manifest->packs = RelianceLocked();
  CKPT_ASSIGN_OR_RETURN(Bytes payload, EncodeManifest(*manifest));
  if (behind != Behind::kTaken) {
    std::uint64_t end = pack_->EndWith(payload.size(), behind == Behind::kCommit);
    manifest->stored_bytes = counts_.appended_bytes + end - start_offset_;
    CKPT_ASSIGN_OR_RETURN(payload, EncodeManifest(*manifest));  // of the same size
  }
  RecordHeader header;
  header.type = RecordType::kManifest;
  return Fail(pack_->Append(header, payload).status());
}

Result<Id128> ChunkWriter::PutNode(ByteSpan raw) {
  Id128 id = HashChunk(raw);
  CKPT_RETURN_IF_ERROR(PutCounted(raw, id, {{}, nullptr, false}, &node_encoder_));
  return id;
}

Status ChunkWriter::AppendRecord(RecordType type, ByteSpan payload) {
  RecordHeader header;
  header.type = type;
  header.raw_bytes = payload.size();
  std::lock_guard lock(mutex_);
  CKPT_RETURN_IF_ERROR(Status(failure_));
  auto placed = pack_->Append(header, payload);
  return Fail(placed.status());
}

std::vector<PackReliance> ChunkWriter::RelianceLocked() const {
  Packs all = hits_;
  all[pack_->pack_id()] = pack_->end_offset();
  if (inherited_used_) {
    for (const auto& [id, up_to] : inherited_) all[id] = std::max(all[id], up_to);
  }
  std::vector<PackReliance> list;
  for (const auto& [id, up_to] : all) list.push_back({id, up_to});
  return list;
}

std::vector<PackReliance> ChunkWriter::Reliance() const {
  std::lock_guard lock(mutex_);
  return RelianceLocked();
}

void ChunkWriter::ForgetReliance() {
  std::lock_guard lock(mutex_);
  hits_.clear();
  inherited_.clear();
  inherited_used_ = false;
  parent_.reset();
  counts_ = {};
  start_offset_ = pack_->end_offset();
}

Status ChunkWriter::Commit(bool closed) {
  std::lock_guard lock(mutex_);
  CKPT_RETURN_IF_ERROR(Status(failure_));
  CKPT_RETURN_IF_ERROR(Fail(pack_->Commit(closed)));
  CKPT_RETURN_IF_ERROR(Fail(CheckNotBroken()));
  counts_.appended_bytes += pack_->end_offset() - start_offset_;
  start_offset_ = pack_->end_offset();
  own_.clear();
  own_bases_.clear();
  staged_ = false;
  store_->PublishLater(pack_->pack_id(), pack_->TakeDurableNews());
  return Status();
}

Status ChunkWriter::Stage() {
  std::lock_guard lock(mutex_);
  CKPT_RETURN_IF_ERROR(Status(failure_));
  CKPT_RETURN_IF_ERROR(Fail(pack_->Stage()));
  staged_ = true;
  return Status();
}

void ChunkWriter::Abandon() {
  if (pack_ == nullptr) return;
  if (!staged_) pack_->Abandon();
  store_->packs()->Forget(pack_->pack_id());
  pack_.reset();
}

PutCounts ChunkWriter::counts() const {
  std::lock_guard lock(mutex_);
  PutCounts counts = counts_;
  if (pack_ != nullptr) counts.appended_bytes += pack_->end_offset() - start_offset_;
  return counts;
}

}  // namespace ckpt
