// Chunks that a later version stored as deltas (docs/format.md, Codecs): this one does not decode
// them, and keeps them and what they are made from.

#include <gtest/gtest.h>

#include "store/engine/check.h"
#include "tests/engine/collect_fixture.h"
#include "tests/support/pack_fixture.h"

namespace ckpt {
namespace {

using namespace collect_test;  // NOLINT

using Mode = OpenStoreOptions::Mode;

class Deltas : public ::testing::Test {
 protected:
  // Step 1 in a pack; block 0 of step 3, which it has not, as a delta against its block 0 in
  // another.
  Deltas() : whole_(BlockOf(1, 0)), delta_(BlockOf(3, 0)) {
    auto store = Must(OpenAt(&world_));
    ExpectOk(Save(store.get(), 1));
    PackWriterOptions options;
    options.store_uuid = store->format().uuid;
    options.permissions = store->file_permissions();
    auto writer = Must(PackWriter::Create(&world_, store->packs_dir(), options));
    Written delta = MakeDelta(100, 1, HashChunk(whole_));
    delta.header.id = HashChunk(delta_);
    delta.header.raw_bytes = static_cast<std::uint32_t>(delta_.size());
    ExpectOk(AppendTo(writer.get(), &delta));
    ExpectOk(writer->Seal());
  }

  SimWorld world_{1};
  const Bytes& whole_;
  const Bytes& delta_;
};

std::size_t Damage(Store* store, bool quick) {
  CheckOptions options;
  options.quick = quick;
  return Must(CheckStore(store, options)).damage.size();
}

TEST_F(Deltas, OneThatASaveReliesOnLivesOnWithItsBase) {
  auto store = Must(OpenAt(&world_));
  ASSERT_NE(BlockOf(3, 0), BlockOf(1, 0));
  ExpectOk(Save(store.get(), 3, true));  // looks each block up, and finds the delta
  EXPECT_EQ(Restore(store.get(), 3).code(), Code::kUnsupported);
  ExpectOk(Save(store.get(), 4, true));
  ExpectOk(Remove(store.get(), 1, true));
  Must(Collect(store.get()));
  store = Must(OpenAt(&world_));
  EXPECT_EQ(Damage(store.get(), true), 0u);
  EXPECT_EQ(Damage(store.get(), false), 0u);
  const auto base = store->FindDurable(HashChunk(whole_));
  EXPECT_TRUE(base.has_value()) << "what the delta is made from is gone";
  const auto delta = store->FindDurable(HashChunk(delta_));
  ASSERT_TRUE(delta.has_value());
  EXPECT_EQ(delta->entry.base, HashChunk(whole_));
  EXPECT_EQ(Restore(store.get(), 3).code(), Code::kUnsupported);
}

}  // namespace
}  // namespace ckpt
