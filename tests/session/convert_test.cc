// Sessions that restore what was saved as another type of numbers, because they asked for it.

#include <filesystem>
#include <fstream>
#include <map>

#include "tests/session/session_fixture.h"

namespace ckpt {
namespace {

template <typename T>
ProtectedItem NumbersItem(const std::string& name, Dtype dtype, std::vector<T>* data) {
  auto shape_of = [dtype](std::size_t count) {
    ArrayShape shape;
    shape.dtype = dtype;
    shape.element_bytes = sizeof(T);
    shape.shape = {count};
    return shape;
  };
  ProtectedItem item;
  item.name = name;
  item.dtype = dtype;
  item.locate = [=]() -> Result<ArrayView> {
    return ArrayView{std::as_bytes(std::span(*data)), shape_of(data->size())};
  };
  item.accepts = [=](const ArrayShape& saved) {
    bool fits = saved == shape_of(data->size());
    return fits ? Status() : RefuseShape(name, saved, shape_of(data->size()));
  };
  item.prepare = [=](const ArrayShape&) -> Result<MutableByteSpan> {
    return std::as_writable_bytes(std::span(*data));
  };
  return item;
}

class SessionConvert : public SessionTest {
 protected:
  static constexpr std::size_t kCount = 100001;  // many chunks and an odd end

  void SaveDoubles(const std::vector<double>& x) {
    std::vector<double> copy = x;
    auto s = Open();
    ASSERT_OK(s->Protect(NumbersItem("a", Dtype::kFloat64, &copy)));
    ASSERT_OK(s->Protect(NumbersItem("x", Dtype::kFloat64, &copy)));
    ASSERT_OK(s->Step(1).error);
    ASSERT_OK(s->Commit());
  }
  std::map<std::string, std::uint64_t> PackSizes() {
    std::map<std::string, std::uint64_t> sizes;
    for (const auto& file : std::filesystem::directory_iterator(store_path() + "/packs")) {
      sizes[file.path()] = file.file_size();
    }
    return sizes;
  }
};

TEST_F(SessionConvert, OtherTypesAreConvertedWhenAskedFor) {
  std::vector<double> x = Numbers(kCount, 3);
  SaveDoubles(x);
  std::vector<double> a(kCount);
  std::vector<float> floats(kCount);
  {
    auto s = Open();
    ASSERT_OK(s->Protect(NumbersItem("a", Dtype::kFloat64, &a)));
    ASSERT_OK(s->Protect(NumbersItem("x", Dtype::kFloat32, &floats)));
    auto refused = s->Restore();
    EXPECT_EQ(refused.status().code(), Code::kInvalidArgument);
    ASSERT_OK(s->AllowConversion("x"));
    ASSERT_OK(s->AllowConversion("a"));  // not needed, and no harm
    ASSERT_TRUE(s->Restore().ok());
    EXPECT_EQ(a, x);
    for (std::size_t i = 0; i < kCount; ++i) ASSERT_EQ(floats[i], static_cast<float>(x[i])) << i;
    ASSERT_OK(s->Step(2).error);  // from here on it is saved as it is here
    ASSERT_OK(s->Commit());
  }
  std::vector<float> back(kCount);
  auto s = Open();
  ASSERT_OK(s->Protect(NumbersItem("a", Dtype::kFloat64, &a)));
  ASSERT_OK(s->Protect(NumbersItem("x", Dtype::kFloat32, &back)));
  ASSERT_TRUE(s->Restore().ok());
  EXPECT_EQ(back, floats);
}

TEST_F(SessionConvert, ANumberThatDoesNotFitIsNamedAndNothingTouched) {
  std::vector<double> x(kCount, 7.0);
  x[77777] = 1e10;
  SaveDoubles(x);
  std::vector<double> a(kCount, -1);
  std::vector<std::int32_t> ints(kCount, -1);
  auto s = Open();
  ASSERT_OK(s->Protect(NumbersItem("a", Dtype::kFloat64, &a)));
  ASSERT_OK(s->Protect(NumbersItem("x", Dtype::kInt32, &ints)));
  ASSERT_OK(s->AllowConversion("x"));
  auto restored = s->Restore();
  EXPECT_EQ(restored.status().code(), Code::kInvalidArgument);
  for (const char* part : {"'x'", "float64", "int32", "element 77777", "10000000000"}) {
    EXPECT_NE(restored.status().message().find(part), std::string::npos)
        << restored.status().message();
  }
  EXPECT_EQ(a, std::vector<double>(kCount, -1));
  EXPECT_EQ(ints, std::vector<std::int32_t>(kCount, -1));
}

TEST_F(SessionConvert, ShapesMustMatch) {
  SaveDoubles(std::vector<double>(10, 1.0));
  std::vector<float> floats(11);
  auto s = Open();
  ASSERT_OK(s->Protect(NumbersItem("x", Dtype::kFloat32, &floats)));
  ASSERT_OK(s->AllowConversion("x"));
  auto restored = s->Restore();
  EXPECT_EQ(restored.status().code(), Code::kInvalidArgument);
  for (const char* part : {"[10]", "float32[11]", "from float64"}) {
    EXPECT_NE(restored.status().message().find(part), std::string::npos)
        << restored.status().message();
  }
}

TEST_F(SessionConvert, OnlyNumbersAreConverted) {
  std::vector<std::uint8_t> bytes(10);
  std::string text;
  {
    auto s = Open();
    ASSERT_OK(s->Protect(NumbersItem("x", Dtype::kBool, &bytes)));
    ASSERT_OK(s->Protect(StreamItem("t", &text)));
    EXPECT_EQ(s->AllowConversion("x").code(), Code::kInvalidArgument);
    EXPECT_EQ(s->AllowConversion("t").code(), Code::kInvalidArgument);
    EXPECT_EQ(s->AllowConversion("y").code(), Code::kNotFound);
    ASSERT_OK(s->Step(1).error);
  }
  auto s = Open();
  ASSERT_OK(s->Protect(NumbersItem("x", Dtype::kUint8, &bytes)));
  ASSERT_OK(s->AllowConversion("x"));
  auto restored = s->Restore();  // from bool
  EXPECT_EQ(restored.status().code(), Code::kInvalidArgument);
  EXPECT_NE(restored.status().message().find("bool"), std::string::npos);
}

TEST_F(SessionConvert, GetConvertsWhenAskedFor) {
  std::vector<double> x(kCount, 7.0);
  SaveDoubles(x);
  auto s = Open();
  ASSERT_TRUE(s->Restore().ok());
  std::vector<std::uint8_t> out(kCount, 1);
  auto memory = std::as_writable_bytes(std::span(out));
  ASSERT_OK(s->GetAs("x", Dtype::kUint8, memory));
  EXPECT_EQ(out, std::vector<std::uint8_t>(kCount, 7));
  EXPECT_EQ(s->GetAs("x", Dtype::kUint8, memory.first(kCount - 1)).code(), Code::kInvalidArgument);
  EXPECT_EQ(s->GetAs("x", Dtype::kUint8, {}).code(), Code::kInvalidArgument);
  EXPECT_EQ(s->GetAs("x", Dtype::kComplex64, memory).code(), Code::kInvalidArgument);
  EXPECT_EQ(s->GetAs("y", Dtype::kUint8, memory).code(), Code::kNotFound);
  std::vector<double> same(kCount);
  ASSERT_OK(s->GetAs("x", Dtype::kFloat64, std::as_writable_bytes(std::span(same))));
  EXPECT_EQ(same, x);
}

TEST_F(SessionConvert, ADamagedChunkLeadsToTheOlderOneAndNothingWasTouched) {
  std::vector<double> x = Numbers(kCount, 3), newer = Numbers(kCount, 4);
  std::vector<double> here = x;
  std::map<std::string, std::uint64_t> before;
  {
    auto s = Open();
    ASSERT_OK(s->Protect(NumbersItem("x", Dtype::kFloat64, &here)));
    ASSERT_OK(s->Step(1).error);
    ASSERT_OK(s->Commit());
    before = PackSizes();
    here = newer;
    ASSERT_OK(s->Step(2).error);
    ASSERT_OK(s->Commit());
  }
  for (auto [pack, bytes] : PackSizes()) {
    auto old = before.find(pack);
    const std::uint64_t begin = old == before.end() ? 0 : old->second;
    if (bytes == begin) continue;
    std::fstream file(pack, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(begin + (bytes - begin) / 2));
    file.write("damaged, damaged", 16);
  }
  std::vector<float> floats(kCount);
  auto s = Open();
  ASSERT_OK(s->Protect(NumbersItem("x", Dtype::kFloat32, &floats)));
  ASSERT_OK(s->AllowConversion("x"));
  auto restored = s->Restore();
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();
  EXPECT_EQ(restored->step, 1);
  EXPECT_EQ(restored->passed_over.size(), 1u);
  for (std::size_t i = 0; i < kCount; ++i) ASSERT_EQ(floats[i], static_cast<float>(x[i])) << i;
}

}  // namespace
}  // namespace ckpt
