// heat3d: heat spreading in a block, with a source that moves round in it. The whole of a code that
// saves itself, stops when the cluster tells it to, and continues: with ckpt-store's recipe.
//
//   heat3d --steps 400 --size 96 --store run.ckpt
//
// Prints where it began and, at the end, a checksum of the field. The same steps give the same
// bits, however often the run was killed and started again. Exit status: 0 complete; stopped by a
// signal, that signal.

#include <chrono>
#include <ckpt/ckpt.hpp>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

constexpr double kDiffusion = 0.12;   // of dx^2 / dt; the explicit scheme is stable up to 1/6
constexpr double kNegligible = 1e-9;  // colder than this counts as untouched

struct Options {
  std::int64_t size = 96;
  std::int64_t steps = 400;
  std::int64_t every = 0;
  double seconds = 0;
  double durable_seconds = -1;
  double grace = 0;
  double pace_ms = 0;
  std::uint64_t keep = 2;
  std::string store = "run.ckpt";
  std::string series = "heat3d";
  bool ask_scheduler = false;
  bool log = false;
};

// One step: each point moves towards the mean of its six neighbours; the faces stay at zero.
void Advance(const std::vector<double>& T, std::vector<double>* next, std::int64_t size,
             std::int64_t done) {
  const auto n = static_cast<std::size_t>(size);
  const std::size_t row = n;
  const std::size_t plane = n * n;
  for (std::size_t z = 1; z + 1 < n; ++z) {
    for (std::size_t y = 1; y + 1 < n; ++y) {
      const double* here = T.data() + z * plane + y * row;
      double* out = next->data() + z * plane + y * row;
      for (std::size_t x = 1; x + 1 < n; ++x) {
        const double flow = here[x - 1] + here[x + 1] + here[x - row] + here[x + row] +
                            *(here + x - plane) + here[x + plane] - 6.0 * here[x];
        const double value = here[x] + kDiffusion * flow;
        out[x] = value < kNegligible ? 0.0 : value;
      }
    }
  }
  const double angle = 0.01 * static_cast<double>(done);
  const double middle = static_cast<double>(size) / 2.0;
  const double radius = middle / 3.0;
  const auto x = static_cast<std::size_t>(middle + radius * std::cos(angle));
  const auto y = static_cast<std::size_t>(middle + radius * std::sin(angle));
  const auto z = static_cast<std::size_t>(middle + 0.5 * radius * std::sin(0.3 * angle));
  (*next)[z * plane + y * row + x] = 100.0;
}

// FNV-1a over the field's bytes.
std::uint64_t Checksum(const std::vector<double>& T) {
  std::uint64_t sum = 14695981039346656037u;
  for (double value : T) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    for (int i = 0; i < 8; ++i) sum = (sum ^ ((bits >> (8 * i)) & 0xff)) * 1099511628211u;
  }
  return sum;
}

int Run(const Options& options) {
  const auto points = static_cast<std::size_t>(options.size * options.size * options.size);
  std::vector<double> T(points, 0.0);
  std::vector<double> next(points, 0.0);
  std::int64_t done = 0;  // steps completed

  const std::string key = "heat3d size " + std::to_string(options.size);
  ckpt::SessionOptions how = ckpt::DefaultSessionOptions();
  how.compatibility = key.c_str();
  how.every_steps = options.every;
  how.every_seconds = options.seconds;
  how.grace_seconds = options.grace;
  if (options.durable_seconds >= 0) {
    how.durability = CKPT_DURABLE_INTERVAL;
    how.durable_seconds = options.durable_seconds;
  }
  how.keep_last = options.keep;
  how.ask_scheduler = options.ask_scheduler ? 1 : 0;
  how.log = options.log ? 1 : 0;

  ckpt::Session session = ckpt::Session::Open(options.store, options.series, how).value();
  session.Protect("T", &T).value();
  if (session.Restore(&done).value() == ckpt::kFresh) {
    std::printf("from the beginning\n");
  } else {
    std::printf("continued from step %lld\n", static_cast<long long>(done));
  }
  std::fflush(stdout);
  const std::chrono::duration<double, std::milli> pace(options.pace_ms);
  while (done < options.steps) {
    const auto begin = std::chrono::steady_clock::now();
    Advance(T, &next, options.size, done);
    std::swap(T, next);
    ++done;
    if (options.pace_ms > 0) std::this_thread::sleep_until(begin + pace);
    const ckpt::Stepped step = session.Step(done);
    if (!step.ok()) std::fprintf(stderr, "heat3d: %s\n", step.error().message().c_str());
    if (step == ckpt::kStop) break;
  }
  if (done == options.steps) {
    std::printf("step %lld checksum %016llx\n", static_cast<long long>(done),
                static_cast<unsigned long long>(Checksum(T)));
  } else {
    std::printf("stopped after step %lld\n", static_cast<long long>(done));
  }
  return session.Finish(done == options.steps);  // flushes standard output, also where it ends here
}

bool ParseOptions(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--log") {
      options->log = true;
      continue;
    }
    if (name == "--ask-scheduler") {
      options->ask_scheduler = true;
      continue;
    }
    if (++i == argc) return false;
    const char* value = argv[i];
    if (name == "--size") {
      options->size = std::atoll(value);
    } else if (name == "--steps") {
      options->steps = std::atoll(value);
    } else if (name == "--every") {
      options->every = std::atoll(value);
    } else if (name == "--seconds") {
      options->seconds = std::atof(value);
    } else if (name == "--durable-seconds") {
      options->durable_seconds = std::atof(value);
    } else if (name == "--grace") {
      options->grace = std::atof(value);
    } else if (name == "--pace") {
      options->pace_ms = std::atof(value);
    } else if (name == "--keep") {
      options->keep = std::strtoull(value, nullptr, 10);
    } else if (name == "--store") {
      options->store = value;
    } else if (name == "--series") {
      options->series = value;
    } else {
      return false;
    }
  }
  return options->size >= 8 && options->size <= 2048 && options->steps >= 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!ParseOptions(argc, argv, &options)) {
    std::fprintf(stderr,
                 "usage: heat3d [--size N] [--steps N] [--store DIR] [--series NAME] [--log]\n"
                 "              [--every STEPS] [--seconds T] [--keep N] [--grace SECONDS]\n"
                 "              [--durable-seconds T] [--ask-scheduler] [--pace MILLISECONDS]\n");
    return 2;
  }
  try {
    return Run(options);
  } catch (const ckpt::Exception& e) {
    std::fprintf(stderr, "heat3d: %s\n", e.what());
    return 1;
  }
}
