#include "store/base/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <set>

namespace ckpt {
namespace {

TEST(Status, DefaultIsOk) {
  Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.code(), Code::kOk);
  EXPECT_EQ(status.ToString(), "ok");
}

TEST(Status, ContextGoesInFront) {
  Status status = Corruption("bad magic").WithContext("pack 12ab");
  EXPECT_EQ(status.code(), Code::kCorruption);
  EXPECT_EQ(status.ToString(), "corruption: pack 12ab: bad magic");
  EXPECT_TRUE(Status().WithContext("x").ok());
}

TEST(Status, EveryCodeHasItsOwnName) {
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(Code::kCancelled); ++code) {
    names.insert(CodeName(static_cast<Code>(code)));
  }
  EXPECT_EQ(names.size(), 13u);
  EXPECT_FALSE(names.contains("unknown"));
  // Those that docs/cli.md promises.
  for (const char* name :
       {"not found", "corruption", "io", "no space", "busy", "invalid argument", "unsupported",
        "out of memory", "internal", "permission", "exists", "cancelled"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

TEST(Status, ErrnoGetsCodeReasonAndAdvice) {
  Status status = ErrnoStatus(ENOSPC, "write a at 4096");
  EXPECT_EQ(status.code(), Code::kNoSpace);
  EXPECT_NE(status.message().find("write a at 4096: No space left on device"), std::string::npos);
  EXPECT_NE(status.message().find("gc"), std::string::npos);
  EXPECT_EQ(ErrnoStatus(EDQUOT, "x").code(), Code::kNoSpace);
  EXPECT_EQ(ErrnoStatus(ENOENT, "x").code(), Code::kNotFound);
  EXPECT_EQ(ErrnoStatus(EROFS, "x").code(), Code::kPermission);
  EXPECT_EQ(ErrnoStatus(EIO, "x").code(), Code::kIo);
  EXPECT_EQ(ErrnoStatus(EEXIST, "x").code(), Code::kExists);
  EXPECT_EQ(ErrnoStatus(EAGAIN, "x").code(), Code::kBusy);
  EXPECT_EQ(ErrnoStatus(EOPNOTSUPP, "x").code(), Code::kUnsupported);
}

Result<int> Half(int value) {
  if (value % 2 != 0) return InvalidArgument("odd");
  return value / 2;
}

Status Quarter(int value, int* out) {
  CKPT_ASSIGN_OR_RETURN(int half, Half(value));
  CKPT_ASSIGN_OR_RETURN(*out, Half(half));
  CKPT_RETURN_IF_ERROR(Status());
  return {};
}

TEST(Result, MacrosPassValuesAndErrorsOn) {
  int out = 0;
  EXPECT_TRUE(Quarter(12, &out).ok());
  EXPECT_EQ(out, 3);
  EXPECT_EQ(Quarter(6, &out).code(), Code::kInvalidArgument);
  EXPECT_EQ(Quarter(7, &out).message(), "odd");
}

TEST(Result, CarriesMoveOnlyValues) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result.status().ok());
  std::unique_ptr<int> value = *std::move(result);
  EXPECT_EQ(*value, 7);
}

}  // namespace
}  // namespace ckpt
