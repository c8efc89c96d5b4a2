// Runs the command as a user would, in a folder of its own that goes with the test.
//
// $CKPT_STORE_BIN is the program; without it the tests are skipped. Lines are given to sh, with
// `ckpt-store` in the path, C as locale and no CKPT_* of the caller's.
// Thread rule: one thread.

#ifndef CKPT_TESTS_CLI_CLI_FIXTURE_H_
#define CKPT_TESTS_CLI_CLI_FIXTURE_H_

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tests/support/temp_dir.h"

namespace ckpt {

struct Outcome {
  int exit = -1;  // 128 + N: ended by signal N
  std::string out;
  std::string err;

  // What --json printed; fails the test when it is no document.
  nlohmann::json Json() const { return Parsed(out); }
  // The error object that --json printed on standard error.
  nlohmann::json Error() const { return Parsed(err)["error"]; }

 private:
  static nlohmann::json Parsed(const std::string& text) {
    nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
    EXPECT_FALSE(json.is_discarded()) << "not JSON: " << text;
    return json.is_discarded() ? nlohmann::json() : json;
  }
};

class CliTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* binary = getenv("CKPT_STORE_BIN");
    if (binary == nullptr) GTEST_SKIP() << "CKPT_STORE_BIN is not set";
    setup_ = "unset CKPT_STORE CKPT_INDEX_DIR SLURM_JOB_ID; export LC_ALL=C TZ=UTC; PATH=" +
             std::filesystem::path(binary).parent_path().string() + ":$PATH; cd '" +
             (folder_ / "work").string() + "' || exit 99; ";
    std::filesystem::create_directory(folder_ / "work");
  }

  Outcome Run(const std::string& line) const {
    const std::string out = (folder_ / "out").string();
    const std::string err = (folder_ / "err").string();
    const std::string script = setup_ + "exec >'" + out + "' 2>'" + err + "'; " + line;
    const int status = std::system(("exec sh -c '" + Quoted(script) + "'").c_str());
    Outcome outcome;
    outcome.exit = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    outcome.out = Contents(out);
    outcome.err = Contents(err);
    return outcome;
  }

  // Runs a line that must succeed.
  Outcome Do(const std::string& line) const {
    Outcome outcome = Run(line);
    EXPECT_EQ(outcome.exit, 0) << line << "\n" << outcome.err;
    return outcome;
  }

  std::filesystem::path Path(const std::string& name) const { return folder_ / "work" / name; }
  void Write(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories(Path(name).parent_path());
    std::ofstream(Path(name), std::ios::binary) << bytes;
  }
  std::string Read(const std::string& name) const { return Contents(Path(name)); }

  // Bytes that neither compress nor repeat.
  static std::string Noise(std::size_t bytes, std::uint64_t seed) {
    std::string out;
    for (std::uint64_t x = seed * 2 + 1; out.size() < bytes;) {
      x ^= x << 13u;
      x ^= x >> 7u;
      x ^= x << 17u;
      out.append(reinterpret_cast<const char*>(&x), sizeof x);
    }
    out.resize(bytes);
    return out;
  }

  static void ExpectKeys(const nlohmann::json& object, const std::string& keys) {
    std::istringstream words(keys);
    for (std::string key; words >> key;) {
      EXPECT_TRUE(object.contains(key)) << key << " is missing in " << object.dump();
    }
  }

 private:
  static std::string Contents(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  static std::string Quoted(const std::string& text) {
    std::string out;
    for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out;
  }

  TempDir tmp_;
  std::filesystem::path folder_ = tmp_.path();
  std::string setup_;
};

}  // namespace ckpt

#endif  // CKPT_TESTS_CLI_CLI_FIXTURE_H_
