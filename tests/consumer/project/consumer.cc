// A C++17 program that uses the installed library through its C++ header.
#include <ckpt/ckpt.hpp>
#include <cstdint>
#include <cstdio>
#include <vector>

// A class of the library's own inner name, with another meaning.
namespace ckpt {
class ByteWriter {
 public:
  int value = 42;
};
}  // namespace ckpt

static void Advance(std::vector<double>* T) {
  for (double& t : *T) t = 0.5 * t + 1;
}

// The recipe of ckpt.hpp: runs until `last`, continuing what the store has.
static std::vector<double> Run(const char* path, std::int64_t last) {
  const std::size_t n = 1000;
  ckpt::Store store = ckpt::Store::Open(path, ckpt::Mode::kCreate).value();
  std::vector<double> T(n);
  std::int64_t done = 0;
  if (auto saved = store.Read("heat")) {
    done = saved->step();
    saved->Get("T", &T).value();
  }
  while (done < last) {
    Advance(&T);
    ++done;
    ckpt::Writer save = store.Begin("heat", done).value();
    save.Put("T", T).value();
    save.End().value();
  }
  return T;
}

static bool ContinuesWhereItEnded(const char* path) {
  Run(path, 3);
  std::vector<double> continued = Run(path, 5);
  std::vector<double> whole(1000);
  for (int i = 0; i < 5; ++i) Advance(&whole);
  auto list = ckpt::Store::Open(path).value().List("heat").value();
  std::vector<float> wrong;
  auto refused = ckpt::Store::Open(path).value().Read("heat").value().Get("T", &wrong);
  return continued == whole && list.size() == 5 && list.front().step == 5 && !refused &&
         refused.error().code() == CKPT_INVALID_ARGUMENT;
}

// The recipe of a session.
static int RunSession(const char* path, std::int64_t last, std::vector<double>* result) {
  ckpt::SessionOptions options = ckpt::DefaultSessionOptions();
  options.every_steps = 1;
  auto session = ckpt::Session::Open(path, "session", options).value();
  std::vector<double> T;
  std::int64_t done = 0;
  session.Protect("T", &T).value();
  if (session.Restore(&done).value() == ckpt::kFresh) T.assign(1000, 0.0);
  while (done < last) {
    Advance(&T);
    ++done;
    if (session.Step(done) == ckpt::kStop) break;
  }
  *result = T;
  return session.Finish(done == last);
}

static bool SessionContinues(const char* path) {
  std::vector<double> half, continued, whole(1000);
  for (int i = 0; i < 5; ++i) Advance(&whole);
  return RunSession(path, 3, &half) == 0 && RunSession(path, 5, &continued) == 0 &&
         continued == whole;
}

int main(int argc, char** argv) {
  constexpr std::int32_t kExpected =
      CKPT_VERSION_MAJOR * 1000000 + CKPT_VERSION_MINOR * 1000 + CKPT_VERSION_PATCH;
  if (ckpt_version() != kExpected) {
    std::fprintf(stderr, "the library is %d, its header %d\n", ckpt_version(), kExpected);
    return 1;
  }
  if (ckpt::FileKey(argv[0]).value().size() + 1 != CKPT_FILE_KEY_BYTES) return 1;
  if (argc > 1 && !(ContinuesWhereItEnded(argv[1]) && SessionContinues(argv[1]))) {
    std::fprintf(stderr, "what was saved did not come back\n");
    return 1;
  }
  return ckpt::ByteWriter().value == 42 ? 0 : 1;
}
