// heat2d: heat spreading on a square plate, with a source that moves round in a circle. A plain
// simulation, as thousands of them: every so many steps it writes its whole state to a file, and it
// can be started again from such a file. It knows nothing of ckpt-store.
//
//   heat2d --steps 3000 --every 250               from the beginning
//   heat2d --steps 3000 --every 250 --restart heat.250.state
//
// Writes heat.STEP.state (under another name first, then renamed, so a file of that name is whole)
// and at the end final.state. The state: two 64-bit integers, points a side and steps done, then
// the temperatures, row by row. The same steps give the same bits, interrupted or not.

#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr double kDiffusion = 0.2;    // of dx^2 / dt; the explicit scheme is stable up to 0.25
constexpr double kNegligible = 1e-9;  // colder than this counts as untouched

struct Options {
  std::int64_t size = 1024;
  std::int64_t steps = 3000;
  std::int64_t every = 250;
  std::string restart;
};

struct State {
  std::int64_t size = 0;
  std::int64_t done = 0;  // steps completed
  std::vector<double> temperature;
};

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "heat2d: %s\n", what.c_str());
  std::exit(1);
}

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using OwnedFile = std::unique_ptr<std::FILE, FileCloser>;

OwnedFile OpenFile(const std::string& path, const char* mode) {
  OwnedFile file(std::fopen(path.c_str(), mode));
  if (!file) Fail(path + ": " + std::strerror(errno));
  return file;
}

void WriteState(const State& state, const std::string& path) {
  const std::string unfinished = path + ".unfinished";
  {
    OwnedFile file = OpenFile(unfinished, "wb");
    const std::int64_t header[2] = {state.size, state.done};
    const std::size_t count = state.temperature.size();
    if (std::fwrite(header, sizeof(header), 1, file.get()) != 1 ||
        std::fwrite(state.temperature.data(), sizeof(double), count, file.get()) != count ||
        std::fflush(file.get()) != 0) {
      Fail("writing " + unfinished + ": " + std::strerror(errno));
    }
  }
  if (std::rename(unfinished.c_str(), path.c_str()) != 0) Fail(path + ": " + std::strerror(errno));
}

State ReadState(const std::string& path) {
  OwnedFile file = OpenFile(path, "rb");
  State state;
  std::int64_t header[2];
  if (std::fread(header, sizeof(header), 1, file.get()) != 1 || header[0] < 3 ||
      header[0] > 65536) {
    Fail(path + " is not a state of heat2d");
  }
  state.size = header[0];
  state.done = header[1];
  state.temperature.resize(static_cast<std::size_t>(state.size * state.size));
  if (std::fread(state.temperature.data(), sizeof(double), state.temperature.size(), file.get()) !=
      state.temperature.size()) {
    Fail(path + " is too short");
  }
  return state;
}

// One step: each point moves towards the mean of its four neighbours; the rim stays at zero.
void Advance(State* state, std::vector<double>* next) {
  const auto n = static_cast<std::size_t>(state->size);
  for (std::size_t row = 1; row + 1 < n; ++row) {
    const double* here = state->temperature.data() + row * n;
    const double* above = here - n;
    const double* below = here + n;
    double* out = next->data() + row * n;
    for (std::size_t col = 1; col + 1 < n; ++col) {
      const double flow = above[col] + below[col] + here[col - 1] + here[col + 1] - 4.0 * here[col];
      const double value = here[col] + kDiffusion * flow;
      out[col] = value < kNegligible ? 0.0 : value;
    }
  }
  const double angle = 0.001 * static_cast<double>(state->done);
  const double middle = static_cast<double>(state->size) / 2.0;
  const double radius = middle / 4.0;
  const auto row = static_cast<std::size_t>(middle + radius * std::sin(angle));
  const auto col = static_cast<std::size_t>(middle + radius * std::cos(angle));
  (*next)[row * n + col] = 100.0;
  std::swap(state->temperature, *next);
  ++state->done;
}

Options ParseOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const char* value = argv[i + 1];
    if (name == "--size") {
      options.size = std::atoll(value);
    } else if (name == "--steps") {
      options.steps = std::atoll(value);
    } else if (name == "--every") {
      options.every = std::atoll(value);
    } else if (name == "--restart") {
      options.restart = value;
    } else {
      Fail("unknown option " + name);
    }
  }
  if (argc % 2 == 0 || options.size < 16 || options.size > 65536 || options.every < 1) {
    Fail("usage: heat2d [--size N] [--steps N] [--every N] [--restart FILE]");
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = ParseOptions(argc, argv);
  State state;
  if (options.restart.empty()) {
    state.size = options.size;
    state.temperature.assign(static_cast<std::size_t>(state.size * state.size), 0.0);
  } else {
    state = ReadState(options.restart);
  }
  std::vector<double> next(state.temperature.size(), 0.0);
  while (state.done < options.steps) {
    Advance(&state, &next);
    if (state.done % options.every == 0) {
      WriteState(state, "heat." + std::to_string(state.done) + ".state");
    }
  }
  WriteState(state, "final.state");
  return 0;
}
