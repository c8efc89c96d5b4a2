// The short form of a fuzz target: runs it over its corpus and over random changes of that.
//   records_fuzz CORPUS_FOLDER CHANGES SEED
// The same seed tries the same inputs. What was tried last is written to crash-<seed> when the
// target ends the process. Memory is limited as scripts/fuzz limits one allocation.

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_input.h"

namespace {

using Input = std::vector<std::uint8_t>;
constexpr std::size_t kInputBytesMax = 1 << 16;
constexpr std::uint64_t kMemoryMaxBytes = 256u
                                          << 20;  // docs/design.md, "A damaged or hostile store"

Input* current = nullptr;
const char* crash_path = "crash";

void KeepInput(int signal) {
  if (std::FILE* file = std::fopen(crash_path, "wb")) {
    (void)!std::fwrite(current->data(), 1, current->size(), file);
    std::fclose(file);
    std::fprintf(stderr, "the input is in %s\n", crash_path);
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

// More than that, besides what there is, ends the process.
void LimitMemory() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t pages = 0;
  struct rlimit limit {};
  if (!(statm >> pages) || getrlimit(RLIMIT_AS, &limit) != 0) return;
  limit.rlim_cur = std::min<rlim_t>(
      limit.rlim_max, pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) + kMemoryMaxBytes);
  setrlimit(RLIMIT_AS, &limit);
}

std::vector<Input> ReadCorpus(const std::string& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry);
  std::sort(paths.begin(), paths.end());
  std::vector<Input> corpus(1);  // the empty one
  for (const auto& path : paths) {
    std::ifstream in(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return corpus;
}

// One to eight small changes: bits, bytes of note, runs removed, repeated or taken from another.
void Change(Input* input, const std::vector<Input>& corpus, std::mt19937_64& random) {
  static constexpr std::uint8_t kBytesOfNote[] = {0, 1, 0x7f, 0x80, 0xff, 0xfe, 16, 64};
  for (std::uint64_t n = 1 + random() % 8; n > 0; --n) {
    const std::size_t at = input->empty() ? 0 : random() % input->size();
    const auto place = input->begin() + static_cast<std::ptrdiff_t>(at);
    switch (input->empty() ? 3 : random() % 6) {
      case 0:
        (*input)[at] ^= static_cast<std::uint8_t>(1u << (random() % 8));
        break;
      case 1:
        (*input)[at] = kBytesOfNote[random() % std::size(kBytesOfNote)];
        break;
      case 2: {
        const std::size_t run = std::min<std::size_t>(input->size() - at, 1 + random() % 32);
        input->erase(place, place + static_cast<std::ptrdiff_t>(run));
        break;
      }
      case 3: {
        Input run(1 + random() % 16);
        for (auto& byte : run) byte = static_cast<std::uint8_t>(random());
        input->insert(place, run.begin(), run.end());
        break;
      }
      case 4: {
        const Input& other = corpus[random() % corpus.size()];
        if (other.empty()) break;
        const std::size_t from = random() % other.size();
        const std::size_t run = std::min(other.size() - from, input->size() - at);
        std::copy_n(other.begin() + static_cast<std::ptrdiff_t>(from), run, place);
        break;
      }
      default:
        (*input)[at] = static_cast<std::uint8_t>(random());
    }
  }
  if (input->size() > kInputBytesMax) input->resize(kInputBytesMax);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER CHANGES SEED\n", argv[0]);
    return 2;
  }
  const std::vector<Input> corpus = ReadCorpus(argv[1]);
  const auto changes = std::strtoull(argv[2], nullptr, 10);
  const std::string path = std::string("crash-") + argv[3];
  crash_path = path.c_str();
  std::signal(SIGABRT, KeepInput);
  std::signal(SIGSEGV, KeepInput);
  std::mt19937_64 random(std::strtoull(argv[3], nullptr, 10));
  Input input;
  current = &input;
  LimitMemory();
  for (const Input& kept : corpus) {
    input = kept;
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  for (unsigned long long i = 0; i < changes; ++i) {
    input = corpus[random() % corpus.size()];
    Change(&input, corpus, random);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%zu of the corpus, %llu changed: all held\n", corpus.size() - 1, changes);
  return 0;
}
