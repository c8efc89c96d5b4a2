// An entry's bytes in order.

#include "store/engine/cat.h"

#include <random>

#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

class Cat : public LookTest {
 protected:
  static Result<std::string> Read(Store* store, const std::string& name, std::uint64_t offset = 0,
                                  std::uint64_t length = UINT64_MAX) {
    std::string out;
    Status s = CatEntry(store, "melt", name, offset, length, [&](ByteSpan bytes) {
      out += AsText(bytes);
      return Status();
    });
    if (!s.ok()) return s;
    return out;
  }
};

TEST_F(Cat, AnySliceIsThatOfTheFile) {
  std::string text = RandomText(1 << 20, 1) + std::string(3 << 20, '\0') + RandomText(400000, 2);
  WriteFile(tmp_ / "d/plain", text);
  WriteFile(tmp_ / "d/holes", RandomText(100000, 3));
  std::filesystem::resize_file(tmp_ / "d/holes", 2 << 20);
  WriteFile(tmp_ / "d/tiny", "abc");
  WriteFile(tmp_ / "d/empty", "");
  auto store = Open();
  SaveDir(store.get());
  std::mt19937_64 random(7);
  for (std::string name : {"d/plain", "d/holes", "d/tiny", "d/empty"}) {
    std::string whole = ReadWholeFile(tmp_ / name);
    auto all = Read(store.get(), name);
    ASSERT_TRUE(all.ok()) << all.status().ToString();
    EXPECT_TRUE(*all == whole) << name;
    for (int i = 0; i < 20; ++i) {
      std::uint64_t offset = random() % (whole.size() + 2);
      std::uint64_t length = random() % (whole.size() + 2);
      auto part = Read(store.get(), name, offset, length);
      ASSERT_TRUE(part.ok()) << part.status().ToString();
      std::string want = offset < whole.size() ? whole.substr(offset, length) : "";
      ASSERT_TRUE(*part == want) << name << " at " << offset << ", " << length;
    }
  }
}

TEST_F(Cat, FoldersLinksAndUnknownNamesAreRefused) {
  WriteFile(tmp_ / "d/f", "x");
  std::filesystem::create_symlink("f", tmp_ / "d/link");
  auto store = Open();
  SaveDir(store.get());
  EXPECT_EQ(Read(store.get(), "d").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Read(store.get(), "d/link").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Read(store.get(), "d/g").status().code(), Code::kNotFound);
}

TEST_F(Cat, StopsWhenItsWriterSaysSo) {
  WriteFile(tmp_ / "d/f", RandomText(4 << 20, 1));
  auto store = Open();
  SaveDir(store.get());
  int calls = 0;
  Status s = CatEntry(store.get(), "melt", "d/f", 0, UINT64_MAX,
                      [&](ByteSpan) { return ++calls == 3 ? Cancelled("enough") : Status(); });
  EXPECT_EQ(s.code(), Code::kCancelled);
  EXPECT_EQ(calls, 3);
}

TEST_F(Cat, DamageEndsItBehindTrueBytes) {
  std::string text = RandomText(4 << 20, 1);
  WriteFile(tmp_ / "d/f", text);
  auto store = Open();
  SaveDir(store.get());
  FlipByte(BigPack(), std::filesystem::file_size(BigPack()) / 2);
  std::string out;
  Status s = CatEntry(store.get(), "melt", "d/f", 0, UINT64_MAX, [&](ByteSpan bytes) {
    out += AsText(bytes);
    return Status();
  });
  EXPECT_EQ(s.code(), Code::kCorruption);
  EXPECT_TRUE(s.message().starts_with("melt@")) << s.message();
  EXPECT_NE(s.message().find(".pack at "), std::string::npos) << s.message();
  EXPECT_LT(out.size(), text.size());
  EXPECT_TRUE(text.starts_with(out));
}

}  // namespace
}  // namespace ckpt
