// Arrays from memory and back.

#include "store/codec/hash.h"
#include "store/engine/array_io.h"
#include "store/engine/checkpoint_writer.h"
#include "store/engine/remove.h"
#include "store/engine/restore_files.h"
#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

class Array : public LookTest {
 protected:
  static std::vector<double> Get(CheckpointReader* reader, const std::string& name,
                                 std::size_t count) {
    std::vector<double> out(count, -1.0);
    Status s = reader->Get(name, std::as_writable_bytes(std::span(out)));
    EXPECT_TRUE(s.ok()) << s.ToString();
    return out;
  }
};

TEST_F(Array, ComesBackFromAnotherHandleExactly) {
  Arrays arrays{{"b/x", Numbers(100000, 1)}, {"a", Numbers(1, 2)}, {"c", {}}, {"b", {}}};
  arrays["b"] = Numbers(8192, 3);  // one whole chunk
  arrays.erase("b");               // "b" and "b/x" may not both be files, but arrays are only names
  arrays["b0"] = Numbers(8192, 3);
  {
    auto store = Open();
    Saved saved = SaveArrays(store.get(), arrays);
    EXPECT_EQ(saved.entries, arrays.size());
    EXPECT_EQ(saved.logical_bytes, (100000u + 1 + 8192) * 8);
  }
  auto store = OpenToRead();
  auto reader = CheckpointReader::Open(store.get(), "melt");
  ASSERT_TRUE(reader.ok()) << reader.status().ToString();
  for (const auto& [name, numbers] : arrays) {
    EXPECT_EQ(Get(reader->get(), name, numbers.size()), numbers) << name;
  }
  auto found = (*reader)->Find("b/x");
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->entry->array.dtype, Dtype::kFloat64);
  EXPECT_EQ(found->entry->array.shape, std::vector<std::uint64_t>{100000});
  EXPECT_EQ((*reader)->Find("nowhere").status().code(), Code::kNotFound);
}

TEST_F(Array, EveryTypeAndShapeComesBack) {
  auto store = Open();
  std::string bytes = RandomText(7 * 30000, 4);
  auto writer = ArrayWriter::Begin(store.get(), [] {
    SaveOptions options;
    options.series = "melt";
    return options;
  }());
  ASSERT_TRUE(writer.ok());
  for (int dtype = 1; dtype <= 20; ++dtype) {
    ArrayShape shape;
    shape.dtype = static_cast<Dtype>(dtype);
    shape.element_bytes = 7;  // of strings and records
    std::uint64_t size = 0;
    shape.shape = {3, 0};
    ASSERT_OK((*writer)->Put("empty" + std::to_string(dtype), {}, shape));
    shape.shape = {100, 4, 3};
    ASSERT_OK(CompleteShape(&shape, &size));
    ASSERT_OK((*writer)->Put("full" + std::to_string(dtype), AsBytes(bytes).first(size), shape));
    shape.shape = {};
    ASSERT_OK(CompleteShape(&shape, &size));
    ASSERT_OK((*writer)->Put("one" + std::to_string(dtype), AsBytes(bytes).first(size), shape));
  }
  ArrayShape odd{Dtype::kRecord, false, 7, {30000}, {}, {}};  // no chunk ends within an element
  ASSERT_OK((*writer)->Put("odd", AsBytes(bytes), odd));
  ArrayShape huge{Dtype::kRecord, false, 210000, {1}, {}, {}};  // an element of several chunks
  ASSERT_OK((*writer)->Put("huge", AsBytes(bytes), huge));
  ASSERT_TRUE((*writer)->End().ok());

  auto reader = CheckpointReader::Open(store.get(), "melt");
  ASSERT_TRUE(reader.ok()) << reader.status().ToString();
  for (std::string name : {"full12", "one16", "empty3", "odd", "huge"}) {
    auto found = (*reader)->Find(name);
    ASSERT_TRUE(found.ok()) << name;
    std::string out(found->entry->logical_bytes, '?');
    ASSERT_OK((*reader)->Get(name, std::as_writable_bytes(std::span(out))));
    EXPECT_EQ(out, bytes.substr(0, out.size())) << name;
  }
  auto found = (*reader)->Find("odd");
  ChunkListReader list(found->entry->content, found->fetcher);
  auto first = list.Next();
  ASSERT_TRUE(first.ok() && first->has_value());
  EXPECT_EQ((*first)->raw_bytes % 7, 0u);
}

// "Restored" would make a job script go on with nothing.
TEST_F(Array, AreNotRestoredAsFilesAndThatIsSaid) {
  auto store = Open();
  SaveArrays(store.get(), {{"a", Numbers(100, 2)}});
  RestoreFilesOptions options;
  options.checkpoint = "melt";
  options.to = tmp_ / "out";
  const Status refused = RestoreFiles(store.get(), options).status();
  EXPECT_EQ(refused.code(), Code::kUnsupported) << refused.ToString();
  EXPECT_NE(refused.message().find("arrays and no files"), std::string::npos);
}

TEST_F(Array, UnchangedChunksCostNothing) {
  auto store = Open();
  Arrays arrays{{"x", Numbers(200000, 5)}, {"y", Numbers(50000, 6)}};
  Saved first = SaveArrays(store.get(), arrays);
  EXPECT_GT(first.new_chunks, 25u);
  Saved second = SaveArrays(store.get(), arrays);
  EXPECT_EQ(second.step, 2);
  EXPECT_EQ(second.new_chunks, 0u);
  EXPECT_EQ(second.new_bytes, 0u);
  arrays["x"][100000] += 1.0;
  Saved third = SaveArrays(store.get(), arrays);
  EXPECT_EQ(third.new_bytes, 64u << 10);
  auto reader = CheckpointReader::Open(store.get(), "melt@3");
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(Get(reader->get(), "x", 200000), arrays["x"]);
  EXPECT_EQ(Get(reader->get(), "y", 50000), arrays["y"]);
}

TEST_F(Array, UnchangedChunksAreFoundWithoutAnIndexInLaterProcesses) {
  Arrays arrays{{"x", Numbers(200000, 5)}};
  SaveArrays(Open().get(), arrays);
  arrays["x"][0] = 7.0;
  Saved second = SaveArrays(Open().get(), arrays);
  EXPECT_LT(second.new_bytes, 2u * (64 << 10));
  auto store = OpenToRead();
  for (const char* name : {"melt@1", "melt@2"}) {
    auto reader = CheckpointReader::Open(store.get(), name);
    ASSERT_TRUE(reader.ok()) << reader.status().ToString();
    EXPECT_EQ(Get(reader->get(), "x", 200000)[1], arrays["x"][1]);
  }
}

TEST_F(Array, CallersMistakesAreRefusedAndTheCheckpointGoesOn) {
  auto store = Open();
  SaveOptions options;
  options.series = "melt";
  auto writer = ArrayWriter::Begin(store.get(), options);
  ASSERT_TRUE(writer.ok());
  std::vector<double> x = Numbers(10, 1);
  ByteSpan bytes = std::as_bytes(std::span(x));
  ArrayShape shape{Dtype::kFloat64, false, 8, {10}, {}, {}};
  ASSERT_OK((*writer)->Put("x", bytes, shape));
  EXPECT_EQ((*writer)->Put("x", bytes, shape).code(), Code::kInvalidArgument);
  EXPECT_EQ((*writer)->Put("../x", bytes, shape).code(), Code::kInvalidArgument);
  EXPECT_EQ((*writer)->Put("y", bytes.first(79), shape).code(), Code::kInvalidArgument);
  ArrayShape wide{Dtype::kFloat64, false, 8, std::vector<std::uint64_t>(33, 1), {}, {}};
  EXPECT_EQ((*writer)->Put("y", bytes.first(8), wide).code(), Code::kInvalidArgument);
  ArrayShape overflow{Dtype::kFloat64, false, 8, {1ull << 62, 1ull << 62}, {}, {}};
  EXPECT_EQ((*writer)->Put("y", bytes, overflow).code(), Code::kInvalidArgument);
  ArrayShape hidden{Dtype::kFloat64, false, 8, {0, 1ull << 63}, {}, {}};
  EXPECT_EQ((*writer)->Put("y", {}, hidden).code(), Code::kInvalidArgument);
  ArrayShape nothing{Dtype::kRecord, false, 0, {1}, {}, {}};
  EXPECT_EQ((*writer)->Put("y", {}, nothing).code(), Code::kInvalidArgument);
  auto saved = (*writer)->End();
  ASSERT_TRUE(saved.ok()) << saved.status().ToString();
  EXPECT_EQ(saved->entries, 1u);
  auto reader = CheckpointReader::Open(store.get(), "melt");
  ASSERT_TRUE(reader.ok());
  Bytes wrong(79);
  EXPECT_EQ((*reader)->Get("x", wrong).code(), Code::kInvalidArgument);
}

TEST_F(Array, AbortedWriterLeavesNothing) {
  auto store = Open();
  SaveOptions options;
  options.series = "melt";
  {
    auto writer = ArrayWriter::Begin(store.get(), options);
    ASSERT_TRUE(writer.ok());
    std::vector<double> x = Numbers(100000, 1);
    ArrayShape shape{Dtype::kFloat64, false, 8, {100000}, {}, {}};
    ASSERT_OK((*writer)->Put("x", std::as_bytes(std::span(x)), shape));
  }
  EXPECT_EQ(CheckpointReader::Open(store.get(), "melt").status().code(), Code::kNotFound);
  EXPECT_EQ(SaveArrays(store.get(), {{"y", Numbers(5, 1)}}).step, 1);
}

TEST_F(Array, DamageIsNamedAndAnotherEntryStillReads) {
  auto store = Open();
  Arrays arrays{{"x", Numbers(30000, 1)}, {"y", Numbers(30000, 2)}};
  SaveArrays(store.get(), arrays);
  auto reader = CheckpointReader::Open(store.get(), "melt");
  ASSERT_TRUE(reader.ok());
  auto found = (*reader)->Find("x");
  ChunkListReader list(found->entry->content, found->fetcher);
  auto item = list.Next();
  ASSERT_TRUE(item.ok() && item->has_value());
  FlipByte(BigPack(), PayloadPlaces(store.get(), BigPack())[(*item)->id] + 5);
  std::vector<double> out(30000);
  EXPECT_EQ((*reader)->Get("x", std::as_writable_bytes(std::span(out))).code(), Code::kCorruption);
  EXPECT_EQ(Get(reader->get(), "y", 30000), arrays["y"]);
}

TEST_F(Array, FilesReadIntoMemoryWithTheirHoles) {
  WriteFile(tmp_ / "d/f", RandomText(300000, 1));
  std::filesystem::resize_file(tmp_ / "d/f", 1 << 20);
  auto store = Open();
  SaveDir(store.get());
  auto reader = CheckpointReader::Open(store.get(), "melt");
  ASSERT_TRUE(reader.ok());
  std::string out(1 << 20, '?');
  ASSERT_OK((*reader)->Get("d/f", std::as_writable_bytes(std::span(out))));
  EXPECT_EQ(out, ReadWholeFile(tmp_ / "d/f"));
}

TEST_F(Array, UnknownTypesAndTooManyBytesAreRefused) {
  for (int dtype : {0, 21, -1}) {
    ArrayShape shape{static_cast<Dtype>(dtype), false, 8, {10}, {}, {}};
    std::uint64_t bytes = 0;
    EXPECT_EQ(CompleteShape(&shape, &bytes).code(), Code::kInvalidArgument) << dtype;
    EXPECT_STREQ(DtypeName(dtype), "unknown");
    EXPECT_FALSE(ElementBytesOf(static_cast<Dtype>(dtype)).has_value());
  }
  std::uint64_t bytes = 0;
  ArrayShape most{Dtype::kFloat64, false, 8, {(1ull << 60) - 1}, {}, {}};
  EXPECT_TRUE(CompleteShape(&most, &bytes).ok());
  EXPECT_EQ(bytes, (1ull << 63) - 8);
  ArrayShape above{Dtype::kFloat64, false, 8, {1ull << 60}, {}, {}};
  EXPECT_EQ(CompleteShape(&above, &bytes).code(), Code::kInvalidArgument);
}

TEST_F(Array, OtherLengthsAndKindsBeforeCostOnlyWhatIsNew) {
  auto store = Open();
  Arrays arrays{{"grows", Numbers(20000, 1)}, {"shrinks", Numbers(20000, 2)}};
  SaveArrays(store.get(), arrays);
  arrays["grows"].resize(50000, 7.0);
  arrays["shrinks"].resize(10000);
  arrays["comes"] = Numbers(20000, 3);
  const Saved saved = SaveArrays(store.get(), arrays);
  EXPECT_LE(saved.new_bytes, (30000u + 20000) * 8 + (2u << 16));
  auto reader = CheckpointReader::Open(store.get(), "melt");
  ASSERT_TRUE(reader.ok());
  for (const auto& [name, numbers] : arrays) {
    EXPECT_EQ(Get(reader->get(), name, numbers.size()), numbers) << name;
  }
  // What was a file of this name is no array to continue.
  WriteFile(tmp_ / "d/f", RandomText(100000, 1));
  SaveDir(store.get(), "both");
  SaveArrays(store.get(), {{"d/f", arrays["grows"]}}, "both");
  reader = CheckpointReader::Open(store.get(), "both");
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(Get(reader->get(), "d/f", 50000), arrays["grows"]);
}

TEST_F(Array, OnlyNumbersAreConvertedIntoMemoryThatFits) {
  auto store = Open();
  WriteFile(tmp_ / "d/f", RandomText(100, 1));
  SaveDir(store.get());
  SaveArrays(store.get(), {{"x", Numbers(100, 1)}}, "arrays");
  auto files = CheckpointReader::Open(store.get(), "melt");
  auto arrays = CheckpointReader::Open(store.get(), "arrays");
  ASSERT_TRUE(files.ok() && arrays.ok());
  std::vector<float> floats(100);
  const MutableByteSpan out = std::as_writable_bytes(std::span(floats));
  EXPECT_EQ((*files)->GetAs("d/f", Dtype::kFloat32, out).code(), Code::kInvalidArgument);
  EXPECT_EQ((*arrays)->GetAs("x", Dtype::kString, out).code(), Code::kInvalidArgument);
  const Status small = (*arrays)->GetAs("x", Dtype::kFloat32, out.first(396));
  EXPECT_EQ(small.code(), Code::kInvalidArgument);
  EXPECT_NE(small.message().find("100 elements, and memory for 99"), std::string::npos);
  ASSERT_OK((*arrays)->GetAs("x", Dtype::kFloat32, out));
  EXPECT_EQ(floats[7], static_cast<float>(Numbers(100, 1)[7]));
  EXPECT_EQ((*arrays)->UseRank(3).code(), Code::kNotFound);
}

// An entry that says something else than its content is damage, never more or less memory written.
TEST_F(Array, ContentOfAnotherLengthIsCorruption) {
  auto store = Open();
  SaveOptions options;
  options.series = "lies";
  auto writer = CheckpointWriter::Begin(store.get(), options);
  ASSERT_TRUE(writer.ok());
  const std::vector<double> numbers = Numbers(8192, 1);
  const ByteSpan bytes = std::as_bytes(std::span(numbers));
  for (const auto& [name, elements] :
       std::map<std::string, std::uint64_t>{{"long", 8191}, {"much longer", 10}, {"short", 8193}}) {
    ChunkListBuilder list(FanOut::kFixed, (*writer)->chunks());
    for (std::size_t at : {std::size_t{0}, std::size_t{32768}}) {
      ChunkEncoder encoder;
      ChunkItem item;
      item.raw_bytes = 32768;
      item.id = HashChunk(bytes.subspan(at, 32768));
      ASSERT_OK((*writer)->chunks()->Put(bytes.subspan(at, 32768), item.id, {}, &encoder));
      ASSERT_OK(list.Add(item));
    }
    Entry entry;
    entry.kind = EntryKind::kArray;
    entry.name = name;
    entry.array = {Dtype::kFloat64, false, 8, {elements}, {}, {}};
    entry.logical_bytes = elements * 8;
    entry.chunks = list.chunks();
    auto content = list.Finish();
    ASSERT_TRUE(content.ok());
    entry.content = *content;
    ASSERT_OK((*writer)->AddEntry(entry, 0));
  }
  ASSERT_TRUE((*writer)->End().ok());
  auto reader = CheckpointReader::Open(store.get(), "lies");
  ASSERT_TRUE(reader.ok());
  for (const auto& [name, elements] :
       std::map<std::string, std::size_t>{{"long", 8191}, {"much longer", 10}, {"short", 8193}}) {
    std::vector<double> doubles(elements);
    const Status read = (*reader)->Get(name, std::as_writable_bytes(std::span(doubles)));
    EXPECT_EQ(read.code(), Code::kCorruption) << name << ": " << read.ToString();
    std::vector<float> floats(elements);
    const Status converted =
        (*reader)->GetAs(name, Dtype::kFloat32, std::as_writable_bytes(std::span(floats)));
    EXPECT_EQ(converted.code(), Code::kCorruption) << name << ": " << converted.ToString();
  }
}

TEST_F(Array, RemovedWhileItIsReadIsNotFoundAndNoDamage) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", Numbers(30000, 1)}});
  SaveArrays(store.get(), {{"x", Numbers(30000, 2)}});
  auto reading = OpenToRead();
  auto reader = CheckpointReader::Open(reading.get(), "melt@1");
  ASSERT_TRUE(reader.ok());
  auto removals = PlanRemoval(store.get(), {"melt@1"}, false);
  ASSERT_TRUE(removals.ok());
  ASSERT_OK(CommitRemovals(store.get(), *removals, 0));
  // The chunk goes bad at the same time: nobody is to be told that what is gone is damaged.
  for (const std::string& path : Packs()) {
    for (const auto& [id, at] : PayloadPlaces(store.get(), path)) FlipByte(path, at + 5);
  }
  std::vector<double> out(30000);
  const Status read = (*reader)->Get("x", std::as_writable_bytes(std::span(out)));
  EXPECT_EQ(read.code(), Code::kNotFound) << read.ToString();
  EXPECT_NE(read.message().find("was removed while it was read"), std::string::npos);
}

}  // namespace
}  // namespace ckpt
