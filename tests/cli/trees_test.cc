// Trees of files from the command line: what is left out, everything a file has besides its bytes,
// names in every JSON document, and very many entries. The contract is docs/cli.md.

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "tests/cli/cli_fixture.h"

namespace ckpt {
namespace {

using Trees = CliTest;

TEST_F(Trees, ExcludedNamesAreNotSaved) {
  for (const char* name : {"in/a.dat", "in/a.tmp", "in/deep/b.tmp", "in/cache/c", "in/cache/x/d"}) {
    Write(name, name);
  }
  Do("ckpt-store save one in --exclude 'in/*.tmp' && ckpt-store restore one --to one");
  EXPECT_EQ(Do("cd one && find . -type f | sort").out,
            "./in/a.dat\n./in/cache/c\n./in/cache/x/d\n./in/deep/b.tmp\n");
  Do("ckpt-store save two in --exclude '**.tmp' --exclude 'in/cache' && "
     "ckpt-store restore two --to two");
  EXPECT_EQ(Do("cd two && find . | sort").out, ".\n./in\n./in/a.dat\n./in/deep\n");
}

TEST_F(Trees, IncludeAndDryRunNameWhatTheyWouldWriteAndWriteNothing) {
  Write("in/a.dat", "aaaa");
  Write("in/b.log", "bb");
  Do("ckpt-store save melt in && mkdir out");
  const auto dry =
      Do("ckpt-store restore melt --to out --include '**.dat' --dry-run --json").Json();
  ASSERT_EQ(dry["entries"].size(), 1u) << dry.dump();
  EXPECT_EQ(dry["entries"][0]["name"], "in/a.dat");
  EXPECT_EQ(dry["entries"][0]["bytes"], 4);
  EXPECT_EQ(Do("find out | wc -l").out, "1\n");
}

TEST_F(Trees, ModesTimesLinksAttributesAndHolesComeBack) {
  Write("in/plain", Noise(100000, 1));
  Do("cd in && ln plain hard && ln -s plain soft && ln -s ../../nowhere dangling && mkdir empty"
     " && truncate -s 64M holes && printf island | dd of=holes bs=1 seek=33554432 conv=notrunc "
     "2>/dev/null"
     " && chmod 4750 plain && touch -d '2001-02-03 04:05:06.789 UTC' plain"
     " && chmod 1777 empty && touch -h -d '2002-03-04 UTC' soft && touch -d '2003-04-05 UTC' "
     "empty");
  if (geteuid() == 0)
    Do("chown 12345:23456 in/plain && chown -h 7:8 in/soft && chmod 4750 in/plain");
  const bool attributes = Run("setfattr -n user.note -v hello in/plain").exit == 0;
  Do("ckpt-store save melt in && ckpt-store restore melt --to out");
  const std::string list = "find . -printf '%P %y %m %s %T@ %l %n %U %G\\n' | sort";
  EXPECT_EQ(Do("cd out/in && " + list).out, Do("cd in && " + list).out);
  EXPECT_EQ(Do("cd out/in && [ plain -ef hard ] && echo same").out, "same\n");
  Do("cmp in/holes out/in/holes && cmp in/plain out/in/plain");
  struct stat holes = {};
  ASSERT_EQ(stat(Path("out/in/holes").c_str(), &holes), 0);
  EXPECT_LT(holes.st_blocks * 512, 4 << 20) << "holes were filled";
  if (attributes) {
    EXPECT_EQ(Do("getfattr --only-values -n user.note out/in/plain").out, "hello");
  }
  EXPECT_EQ(Do("ckpt-store restore melt --to out --json").Json()["files"], 0) << "all is equal";
  if (!attributes) GTEST_SKIP() << "no setfattr, or no attributes here";
}

// Bytes that are not UTF-8 have their exact form beside, in every document with names; a name that
// is only strange has not.
TEST_F(Trees, OddNamesInEveryDocument) {
  Write("in/caf\xE9", "latin");
  Write("in/-n", "dash");
  Write("in/new\nline", "newline");
  Do("ckpt-store save odd in --tag 'k\xE9=v' --tag 'plain=w\xE9' && mkdir out");
  const std::string replaced = "in/caf\xEF\xBF\xBD";
  const auto expect = [&](const nlohmann::json& entries) {
    bool latin = false;
    bool newline = false;
    for (const auto& entry : entries) {
      const bool odd = entry["name"] == replaced;
      EXPECT_EQ(entry.contains("name_base64"), odd) << entry.dump();
      EXPECT_EQ(entry.value("name_base64", ""), odd ? "aW4vY2Fm6Q==" : "");
      latin = latin || odd;
      newline = newline || entry["name"] == "in/new\nline";
    }
    EXPECT_TRUE(latin && newline) << entries.dump();
  };
  expect(Do("ckpt-store restore odd --to out --dry-run --json").Json()["entries"]);
  expect(Do("ckpt-store inspect odd --json").Json()["entries"]);
  Write("other", "x");
  Do("ckpt-store save second other");
  expect(Do("ckpt-store diff second odd --json").Json()["entries"]);
  const auto one = Do("ckpt-store list odd --json").Json()[0];
  EXPECT_EQ(one["tags"]["plain"], "w\xEF\xBF\xBD");
  EXPECT_EQ(one["tags_base64"].size(), 2u);
  EXPECT_EQ(Do("ckpt-store cat odd 'in/caf\xE9'; ckpt-store cat odd -- in/-n").out, "latindash");
  const Outcome missing = Run("ckpt-store cat odd 'in/caf\xE8' --json");
  EXPECT_EQ(missing.exit, 4);
  EXPECT_TRUE(missing.Error().is_object());
}

TEST_F(Trees, SeriesNamedLikeAnOptionNeedsTheEndOfOptions) {
  Write("a", "x");
  EXPECT_EQ(Run("ckpt-store save --nosuch a").exit, 2);
  Do("ckpt-store save -- melt a");
  EXPECT_EQ(Run("ckpt-store save -- ../melt a").exit, 2);
  EXPECT_EQ(Run("ckpt-store save 'a@b' a").exit, 2);
}

// Memory follows neither the size of the data nor, but for a little, the threads.
TEST_F(Trees, LargeFilesAreSavedAndRestoredInBoundedMemory) {
  Do("head -c 300000000 /dev/urandom > data");
  Do("ckpt-store save melt data --threads 4 -q");
  Do("ckpt-store restore melt --to out --threads 4 -q && cmp data out/data");
  Do("ckpt-store check -q && ckpt-store gc -q");
  struct rusage usage = {};
  getrusage(RUSAGE_CHILDREN, &usage);
  std::printf("300 MB: peak memory %ld MiB\n", usage.ru_maxrss >> 10);
#ifndef __SANITIZE_ADDRESS__  // which keeps what was freed, and a copy of everything in shadow
  EXPECT_LT(usage.ru_maxrss, 200 << 10);
#endif
}

// 2,000 entries; 100,000 with CKPT_LONG_TESTS=1. Memory is bounded whatever their number.
TEST_F(Trees, VeryManyEntriesComeBackInBoundedMemory) {
  const bool is_long = std::getenv("CKPT_LONG_TESTS") != nullptr;
  const int folders = is_long ? 500 : 20;
  const int each = is_long ? 199 : 99;
  int entries = 1;
  for (int folder = 0; folder < folders; ++folder) {
    const std::string name = "in/" + std::to_string(folder);
    std::filesystem::create_directories(Path(name));
    ++entries;
    for (int file = 0; file < each; ++file, ++entries) {
      const std::string path = name + "/" + std::to_string(file);
      std::ofstream(Path(path)) << path << Noise(file % 50 == 0 ? 2000 : 20, entries);
    }
  }
  const auto timed = [&](const char* what, const std::string& line) {
    const auto begin = std::chrono::steady_clock::now();
    const Outcome outcome = Do(line);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    struct rusage usage = {};
    getrusage(RUSAGE_CHILDREN, &usage);  // the greatest so far
    std::printf("%d entries: %s %.2f s, peak memory %ld MiB\n", entries, what, seconds.count(),
                usage.ru_maxrss >> 10);
    EXPECT_LT(usage.ru_maxrss, 512 << 10) << what;
    return outcome.Json();
  };
  const auto first = timed("save", "ckpt-store save tree in --json");
  EXPECT_EQ(first["entries"], entries);
  EXPECT_EQ(first["files"], folders * each);
  EXPECT_EQ(timed("restore", "ckpt-store restore tree --to out --json")["files"], entries);
  Do("diff -r in out/in");
  // Times are trusted when they were 2 s old at the save before: until then files are read again.
  Write("in/7/new", "one more");
  int saves = 1;
  nlohmann::json again;
  do {
    again = Do("ckpt-store save tree in --json").Json();
    ++saves;
  } while (again["read_bytes"] != 0 && saves < 1000);
  EXPECT_EQ(again["read_bytes"], 0);
  Write("in/7/new", "one more, changed");
  const auto changed = timed("save of one change", "ckpt-store save tree in --json");
  EXPECT_EQ(changed["read_bytes"], 17);
  EXPECT_EQ(changed["entries"], entries + 1);
  const auto diff = timed("diff", "ckpt-store diff tree@1 tree --json");
  EXPECT_LE(diff["entries"].size(), 3u);  // the file, its folder's time
  EXPECT_EQ(timed("list", "ckpt-store list --json").size(), saves + 1u);
  timed("check", "ckpt-store check --json");
}

}  // namespace
}  // namespace ckpt
