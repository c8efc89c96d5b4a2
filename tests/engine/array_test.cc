// Arrays from memory and back.

#include "store/engine/array_io.h"
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

}  // namespace
}  // namespace ckpt
