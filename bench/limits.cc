// What the machine at hand allows: the limits that other figures are shares of. Every round
// measures every limit once, so that a machine that slows down slows all of them down; medians and
// spreads.
//
//   build/bench/limits [--rounds N] [--bytes N] [--data FILE] [--json]
//
// --bytes: of the buffers and of the file written and read (1 GiB). --data: what zstd is tried on
// (its first 64 MiB; else a smooth field of doubles). Files are below $TMPDIR (/tmp), which should
// be a real disk. "all" is as many threads as there are cores.

#include <fcntl.h>
#include <lmdb.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "bench/temp_folder.h"
#include "store/codec/chunker.h"
#include "store/codec/hash.h"
#include "store/io/env.h"

namespace ckpt {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kChunkBytes = 64u << 10;
constexpr std::size_t kBlockBytes = 4u << 20;  // of a write or read
constexpr int kDepth = 8;
constexpr std::size_t kKeys = 200'000;

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::exit(1);
}

double Seconds(const std::function<void()>& work) {
  const auto begin = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Work on [0, count) by threads that take neighbouring shares.
void Shared(unsigned threads, std::size_t count,
            const std::function<void(std::size_t, std::size_t)>& work) {
  std::vector<std::thread> others;
  for (unsigned i = 1; i < threads; ++i) {
    others.emplace_back(work, count * i / threads, count * (i + 1) / threads);
  }
  work(0, count / threads);
  for (std::thread& other : others) other.join();
}

struct Limit {
  std::string name;
  std::string unit;
  std::vector<double> values;
};

class Limits {
 public:
  void Add(const std::string& name, const std::string& unit, double value) {
    for (Limit& limit : limits_) {
      if (limit.name == name) return limit.values.push_back(value);
    }
    limits_.push_back({name, unit, {value}});
  }
  void AddRate(const std::string& name, double bytes, double seconds) {
    Add(name, "GB/s", bytes / seconds / 1e9);
  }

  void Print(bool json) {
    std::printf(json ? "[" : "%-44s %10s   %s\n", "limit", "median", "[least - most]");
    for (std::size_t i = 0; i < limits_.size(); ++i) {
      Limit& limit = limits_[i];
      std::sort(limit.values.begin(), limit.values.end());
      const double median = limit.values[limit.values.size() / 2];
      const char* const format =
          json ? R"({"name":"%s","median":%.4g,"unit":"%s","least":%.4g,"most":%.4g}%s)"
               : "%-44s %10.4g %s   [%.4g - %.4g]%s";
      const char* const end = !json ? "" : i + 1 < limits_.size() ? "," : "]";
      std::printf(format, limit.name.c_str(), median, limit.unit.c_str(), limit.values.front(),
                  limit.values.back(), end);
      std::printf("\n");
    }
  }

 private:
  std::vector<Limit> limits_;
};

struct Options {
  int rounds = 5;
  std::size_t bytes = std::size_t{1} << 30;
  std::string data;
  bool json = false;
};

class Machine {
 public:
  explicit Machine(const Options& options)
      : from_(options.bytes), to_(options.bytes), data_(Data(options.data)) {
    if (from_.size() == 0 || to_.size() == 0) Die("buffers");
    std::uint64_t x = 1;
    for (std::uint64_t& word : Words()) {
      x ^= x << 13, x ^= x >> 7, x ^= x << 17;
      word = x;
    }
    std::memset(to_.data(), 1, to_.size());
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  void Round() {
    for (unsigned threads : {1u, all_}) {
      Memory(threads, threads == 1 ? ", 1 thread" : ", all threads");
    }
    Hashing();
    Compression();
    Writing();
    Reading();
    Flushing();
    Lmdb();
  }
  void Print(bool json) { limits_.Print(json); }

 private:
  static std::vector<char> Data(const std::string& path) {
    std::vector<char> data(64u << 20);
    if (path.empty()) {
      auto* values = reinterpret_cast<double*>(data.data());
      for (std::size_t i = 0; i < data.size() / 8; ++i) {
        values[i] = std::sin(static_cast<double>(i) * 1e-3) + 1e-9 * static_cast<double>(i % 977);
      }
      return data;
    }
    std::ifstream file(path, std::ios::binary);
    file.read(data.data(), static_cast<std::streamsize>(data.size()));
    data.resize(static_cast<std::size_t>(file.gcount()) / kChunkBytes * kChunkBytes);
    if (data.empty()) Die(path.c_str());
    return data;
  }

  std::span<std::uint64_t> Words() {
    return {reinterpret_cast<std::uint64_t*>(from_.data()), from_.size() / 8};
  }
  ByteSpan From() const { return {from_.data(), from_.size()}; }

  void Memory(unsigned threads, const std::string& who) {
    const auto words = Words();
    const double bytes = static_cast<double>(from_.size());
    limits_.AddRate("DRAM read" + who, bytes, Seconds([&] {
                      Shared(threads, words.size(), [&](std::size_t begin, std::size_t end) {
                        const auto share = words.subspan(begin, end - begin);
                        checked_ += std::accumulate(share.begin(), share.end(), std::uint64_t{0});
                      });
                    }));
    limits_.AddRate("memcpy" + who, bytes, Seconds([&] {
                      Shared(threads, from_.size(), [&](std::size_t begin, std::size_t end) {
                        std::memcpy(to_.data() + begin, from_.data() + begin, end - begin);
                      });
                    }));
    limits_.AddRate("XXH3-128, chunks of 64 KiB" + who, bytes,
                    Seconds([&] { Hash(threads, kChunkBytes); }));
    const Chunker chunker = *Chunker::Create(ChunkerParams{});
    limits_.AddRate("content-defined cuts, 64 KiB" + who, bytes, Seconds([&] {
                      Shared(threads, from_.size(), [&](std::size_t begin, std::size_t end) {
                        while (begin < end) {
                          begin += chunker.Next(From().subspan(begin, end - begin), true);
                        }
                      });
                    }));
  }

  void Hash(unsigned threads, std::size_t chunk) {
    Shared(threads, from_.size() / chunk, [&](std::size_t begin, std::size_t end) {
      std::uint64_t sum = 0;
      for (std::size_t i = begin; i < end; ++i) {
        sum += HashChunk(From().subspan(i * chunk, chunk)).bytes[0];
      }
      checked_ += sum;
    });
  }

  void Hashing() {
    for (std::size_t chunk : {4u << 10, 16u << 10, 256u << 10, 1u << 20}) {
      limits_.AddRate("XXH3-128, chunks of " + std::to_string(chunk >> 10) + " KiB, 1 thread",
                      static_cast<double>(from_.size()), Seconds([&] { Hash(1, chunk); }));
    }
  }

  void Compression() {
    std::vector<char> out(ZSTD_compressBound(kChunkBytes));
    ZSTD_CCtx* context = ZSTD_createCCtx();
    for (int level : {-1, 1, 3, 9}) {
      std::size_t stored = 0;
      const double seconds = Seconds([&] {
        for (std::size_t at = 0; at + kChunkBytes <= data_.size(); at += kChunkBytes) {
          stored += ZSTD_compressCCtx(context, out.data(), out.size(), data_.data() + at,
                                      kChunkBytes, level);
        }
      });
      const std::string name = "zstd " + std::to_string(level) + ", chunks of 64 KiB";
      limits_.AddRate(name, static_cast<double>(data_.size()), seconds);
      limits_.Add(name + ": ratio", "",
                  static_cast<double>(data_.size()) / static_cast<double>(stored));
    }
    ZSTD_freeCCtx(context);
  }

  // One file, whole; each block by one of `threads` calls at a time.
  double Transfer(int flags, bool writes, int threads) {
    const std::string path = folder_.path() + "/file";
    const int fd = open(path.c_str(), flags | O_CLOEXEC, 0600);
    if (fd < 0) return 0;  // O_DIRECT is not everywhere
    const double seconds = Seconds([&] {
      Shared(static_cast<unsigned>(threads), from_.size() / kBlockBytes,
             [&](std::size_t begin, std::size_t end) {
               for (std::size_t i = begin; i < end; ++i) {
                 const auto at = static_cast<off_t>(i * kBlockBytes);
                 const ssize_t done = writes ? pwrite(fd, from_.data() + at, kBlockBytes, at)
                                             : pread(fd, to_.data() + at, kBlockBytes, at);
                 if (done != static_cast<ssize_t>(kBlockBytes)) Die("the file below $TMPDIR");
               }
             });
      if (writes && fdatasync(fd) != 0) Die("fdatasync");
    });
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    return seconds;
  }

  void AddTransfer(const std::string& name, int flags, bool writes, int threads) {
    if (writes) std::filesystem::remove(folder_.path() + "/file");
    const double seconds = Transfer(flags, writes, threads);
    if (seconds > 0) limits_.AddRate(name, static_cast<double>(from_.size()), seconds);
  }
  void Writing() {
    AddTransfer("write, buffered, and fdatasync", O_CREAT | O_WRONLY, true, 1);
    AddTransfer("write, O_DIRECT, 8 at once, and fdatasync", O_CREAT | O_WRONLY | O_DIRECT, true,
                kDepth);
  }
  // What was written last, not in the page cache.
  void Reading() {
    AddTransfer("read, buffered, cold", O_RDONLY, false, 1);
    AddTransfer("read, O_DIRECT, 8 at once", O_RDONLY | O_DIRECT, false, kDepth);
    AddTransfer("read, buffered, cold, 8 at once", O_RDONLY, false, kDepth);
  }

  void Flushing() {
    constexpr int kTimes = 50;
    const int fd = open((folder_.path() + "/small").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) Die("a file below $TMPDIR");
    const double seconds = Seconds([&] {
      for (int i = 0; i < kTimes; ++i) {
        if (pwrite(fd, from_.data(), 4096, 4096 * i) != 4096 || fdatasync(fd) != 0)
          Die("fdatasync");
      }
    });
    close(fd);
    limits_.Add("fdatasync after 4 KiB", "ms", seconds / kTimes * 1e3);
  }

  static void Must(int answer) {
    if (answer != 0) {
      std::fprintf(stderr, "LMDB: %s\n", mdb_strerror(answer));
      std::exit(1);
    }
  }

  // Keys as an index has them: 16 bytes in no order, 24 bytes of value.
  void Lmdb() {
    const std::string path = folder_.path() + "/lmdb";
    MDB_env* env = nullptr;
    MDB_txn* txn = nullptr;
    MDB_dbi dbi = 0;
    Must(mdb_env_create(&env));
    Must(mdb_env_set_mapsize(env, std::size_t{1} << 30));
    Must(mdb_env_open(env, path.c_str(), MDB_NOSUBDIR, 0600));
    auto words = Words();
    auto key = [&](std::size_t i) { return MDB_val{16, &words[2 * (i % (words.size() / 2))]}; };
    const double puts = Seconds([&] {
      Must(mdb_txn_begin(env, nullptr, 0, &txn));
      Must(mdb_dbi_open(txn, nullptr, 0, &dbi));
      for (std::size_t i = 0; i < kKeys; ++i) {
        MDB_val k = key(i), v{24, from_.data()};
        Must(mdb_put(txn, dbi, &k, &v, 0));
      }
      Must(mdb_txn_commit(txn));
    });
    const double gets = Seconds([&] {
      Must(mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn));
      for (std::size_t i = 0; i < kKeys; ++i) {
        MDB_val k = key(i), v{};
        Must(mdb_get(txn, dbi, &k, &v));
      }
      mdb_txn_abort(txn);
    });
    mdb_env_close(env);
    std::filesystem::remove(path);
    std::filesystem::remove(path + "-lock");
    limits_.Add("LMDB put, one transaction, flushed", "M/s", kKeys / puts / 1e6);
    limits_.Add("LMDB get, of as many", "M/s", kKeys / gets / 1e6);
  }

  const unsigned all_ = std::max(2u, std::thread::hardware_concurrency());
  AlignedBuffer from_, to_;
  const std::vector<char> data_;
  const TempFolder folder_;
  Limits limits_;
  std::atomic<std::uint64_t> checked_{0};  // so that what is read is read
};

Options Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool has_value = i + 1 < argc;
    if (word == "--json") {
      options.json = true;
    } else if (word == "--rounds" && has_value) {
      options.rounds = std::max(1, std::atoi(argv[++i]));
    } else if (word == "--bytes" && has_value) {
      const std::size_t bytes = std::strtoull(argv[++i], nullptr, 10);
      options.bytes = std::max(bytes / kBlockBytes, std::size_t{kDepth}) * kBlockBytes;
    } else if (word == "--data" && has_value) {
      options.data = argv[++i];
    } else {
      std::fprintf(stderr, "usage: limits [--rounds N] [--bytes N] [--data FILE] [--json]\n");
      std::exit(word == "--help" || word == "-h" ? 0 : 2);
    }
  }
  return options;
}

}  // namespace
}  // namespace ckpt

int main(int argc, char** argv) {
  const ckpt::Options options = ckpt::Parse(argc, argv);
  ckpt::Machine machine(options);
  for (int round = 0; round < options.rounds; ++round) machine.Round();
  machine.Print(options.json);
  return 0;
}
