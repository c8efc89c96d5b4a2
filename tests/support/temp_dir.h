// A folder for one test, removed with everything in it at its end; and small helpers for files in
// it.

#ifndef CKPT_TESTS_SUPPORT_TEMP_DIR_H_
#define CKPT_TESTS_SUPPORT_TEMP_DIR_H_

#include <filesystem>
#include <string>
#include <string_view>

namespace ckpt {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

void WriteFile(const std::string& path, std::string_view bytes);
std::string ReadWholeFile(const std::string& path);
// Deterministic bytes that neither repeat nor compress.
std::string RandomText(std::size_t bytes, std::uint64_t seed);
// Sets both times of a file that far into the past, so that its stat may be trusted.
void MakeOld(const std::string& path);

}  // namespace ckpt

#endif  // CKPT_TESTS_SUPPORT_TEMP_DIR_H_
