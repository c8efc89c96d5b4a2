#include "cli/entry_text.cc"  // see text_test.cc

#include <gtest/gtest.h>

namespace ckpt {
namespace {

struct Array {
  Array(std::int32_t dtype, std::uint32_t element_bytes, std::vector<std::uint64_t> extents)
      : shape(std::move(extents)) {
    entry.name = "T";
    entry.kind = CKPT_ENTRY_ARRAY;
    entry.target = "";
    entry.codec = "";
    entry.dtype = dtype;
    entry.element_bytes = element_bytes;
    entry.dimensions = static_cast<std::uint32_t>(shape.size());
    entry.shape = shape.data();
  }
  std::vector<std::uint64_t> shape;
  ckpt_entry entry = {};
};

std::string HeaderText(const Array& array) { return NpyHeader(array.entry).value_or("none"); }

TEST(NpyHeader, IsWhatNumpyWrites) {
  const std::string header = HeaderText(Array(CKPT_FLOAT64, 8, {64, 3}));
  EXPECT_EQ(header.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  EXPECT_EQ(header.size(), 128u);
  EXPECT_EQ(static_cast<unsigned char>(header[8]), 118);
  EXPECT_EQ(header[9], 0);
  EXPECT_EQ(header.substr(10, 60), "{'descr': '<f8', 'fortran_order': False, 'shape': (64, 3), }");
  EXPECT_EQ(header.back(), '\n');
}

TEST(NpyHeader, TupleOfOneAndOfNone) {
  EXPECT_NE(HeaderText(Array(CKPT_INT32, 4, {7})).find("'shape': (7,), }"), std::string::npos);
  EXPECT_NE(HeaderText(Array(CKPT_INT32, 4, {})).find("'shape': (), }"), std::string::npos);
}

TEST(NpyHeader, ColumnMajorIsFortranOrder) {
  Array array(CKPT_FLOAT32, 4, {2, 3});
  array.entry.column_major = 1;
  EXPECT_NE(HeaderText(array).find("'fortran_order': True"), std::string::npos);
}

TEST(NpyHeader, EveryTypeHasADescription) {
  const std::vector<std::pair<std::int32_t, std::string>> expected = {
      {CKPT_INT8, "|i1"},      {CKPT_INT64, "<i8"},       {CKPT_UINT8, "|u1"},
      {CKPT_UINT16, "<u2"},    {CKPT_FLOAT16, "<f2"},     {CKPT_BFLOAT16, "|V2"},
      {CKPT_FLOAT32, "<f4"},   {CKPT_FLOAT80, "|V16"},    {CKPT_FLOAT128, "|V16"},
      {CKPT_COMPLEX64, "<c8"}, {CKPT_COMPLEX128, "<c16"}, {CKPT_BOOL, "|b1"},
      {CKPT_STRING, "|S12"},   {CKPT_RECORD, "|V12"},     {CKPT_BYTES, "|u1"}};
  for (const auto& [dtype, descr] : expected) {
    const std::string header = HeaderText(Array(dtype, 12, {1}));
    EXPECT_NE(header.find("'descr': '" + descr + "'"), std::string::npos) << dtype;
  }
  for (std::int32_t dtype = CKPT_INT8; dtype <= CKPT_BYTES; ++dtype) {
    EXPECT_TRUE(NpyHeader(Array(dtype, 4, {1}).entry).has_value()) << dtype;
  }
  EXPECT_FALSE(NpyHeader(Array(99, 4, {1}).entry).has_value());
}

TEST(NpyHeader, IsAlwaysAMultipleOf64) {
  for (std::uint32_t dimensions = 0; dimensions <= 32; ++dimensions) {
    const Array array(CKPT_UINT8, 1, std::vector<std::uint64_t>(dimensions, 1234567));
    EXPECT_EQ(HeaderText(array).size() % 64, 0u) << dimensions;
  }
}

TEST(NpyHeader, LongHeadersAreVersionTwo) {
  const std::string header = HeaderText(Array(CKPT_UINT8, 1, std::vector<std::uint64_t>(40000, 1)));
  EXPECT_EQ(header.substr(6, 2), std::string("\x02\x00", 2));
  EXPECT_EQ(header.size() % 64, 0u);
  std::size_t length = 0;
  for (int i = 3; i >= 0; --i) length = length << 8u | static_cast<unsigned char>(header[8 + i]);
  EXPECT_EQ(length, header.size() - 12);
}

TEST(EntryType, SaysWhatPeopleNeed) {
  EXPECT_EQ(EntryType(Array(CKPT_FLOAT64, 8, {64, 3}).entry), "float64[64,3]");
  ckpt_entry file = {};
  file.kind = CKPT_ENTRY_FILE;
  file.mode = 04755;
  EXPECT_EQ(EntryType(file), "file 4755");
  file.kind = CKPT_ENTRY_SYMLINK;
  EXPECT_EQ(EntryType(file), "symlink");
}

TEST(EntryJson, HasTheKeysOfTheContract) {
  const Json json = EntryJson(Array(CKPT_FLOAT64, 8, {64, 3}).entry);
  for (const char* key : {"name", "kind", "dtype", "shape", "logical_bytes", "stored_bytes",
                          "chunks", "new_chunks"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_EQ(json["shape"], Json::parse("[64,3]"));
}

}  // namespace
}  // namespace ckpt
