// A flame that moves through a box of fuel: a series of raw dumps, as solvers write them.
//
//   front FOLDER [SIZE [DUMPS [STEPS]]]
//
// DUMPS files FOLDER/step-NN/state.bin, STEPS steps apart, of SIZE^3 doubles of temperature, then
// as many of fuel. Ahead of the front both are as they were in the beginning (the fuel is uneven,
// the temperature zero); behind it the fuel is gone, and heat goes on spreading. The same numbers
// give the same bytes. It is one of the series of bench/series.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr double kDiffusion = 0.15;   // of dx^2 / dt; the explicit scheme is stable up to 1/6
constexpr double kRate = 0.25;        // of burning, per step
constexpr double kIgnition = 0.2;     // temperature at which fuel burns
constexpr double kNegligible = 1e-9;  // colder than this counts as untouched

struct Field {
  explicit Field(std::size_t size)
      : n(size), temperature(n * n * n), next(n * n * n), fuel(n * n * n) {}

  std::size_t n;
  std::vector<double> temperature, next, fuel;
};

// Uneven fuel, 0.75 to 1.25, lit in the middle of the box.
void Begin(Field* field) {
  std::uint64_t state = 1;
  for (double& fuel : field->fuel) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    fuel = 0.75 + 0.5 * static_cast<double>(state >> 11) / 9007199254740992.0;
  }
  const std::size_t n = field->n;
  for (std::size_t z = n / 2 - 3; z < n / 2 + 3; ++z) {
    for (std::size_t y = n / 2 - 3; y < n / 2 + 3; ++y) {
      for (std::size_t x = n / 2 - 3; x < n / 2 + 3; ++x) {
        field->temperature[(z * n + y) * n + x] = 1.0;
      }
    }
  }
}

void Burn(Field* field, std::size_t at, double temperature) {
  double burnt = temperature > kIgnition ? kRate * field->fuel[at] : 0.0;
  if (field->fuel[at] < kNegligible) burnt = field->fuel[at];
  field->fuel[at] -= burnt;
  const double value = temperature + burnt;
  field->next[at] = value < kNegligible ? 0.0 : value;
}

// The faces stay as they are, but for burning next to them.
void Advance(Field* field) {
  const std::size_t n = field->n;
  field->next = field->temperature;
  for (std::size_t z = 1; z + 1 < n; ++z) {
    for (std::size_t y = 1; y + 1 < n; ++y) {
      for (std::size_t x = 1; x + 1 < n; ++x) {
        const std::size_t at = (z * n + y) * n + x;
        const double* here = &field->temperature[at];
        const double flow = here[1] + *(here - 1) + here[n] + *(here - n) + here[n * n] +
                            *(here - n * n) - 6.0 * *here;
        Burn(field, at, *here + kDiffusion * flow);
      }
    }
  }
  std::swap(field->temperature, field->next);
}

bool Dump(const Field& field, const std::string& folder) {
  std::filesystem::create_directories(folder);
  std::FILE* file = std::fopen((folder + "/state.bin").c_str(), "wb");
  if (file == nullptr) return false;
  const std::size_t points = field.temperature.size();
  const bool written =
      std::fwrite(field.temperature.data(), sizeof(double), points, file) == points &&
      std::fwrite(field.fuel.data(), sizeof(double), points, file) == points;
  return (std::fclose(file) == 0) && written;
}

long Argument(int argc, char** argv, int index, long otherwise) {
  return argc > index ? std::atol(argv[index]) : otherwise;
}

}  // namespace

int main(int argc, char** argv) {
  const long size = Argument(argc, argv, 2, 160);
  const long dumps = Argument(argc, argv, 3, 10);
  const long steps = Argument(argc, argv, 4, 20);
  if (argc < 2 || size < 8 || dumps < 1 || dumps > 99 || steps < 1) {
    std::fprintf(stderr, "usage: front FOLDER [SIZE [DUMPS [STEPS]]]\n");
    return 2;
  }
  Field field(static_cast<std::size_t>(size));
  Begin(&field);
  for (long dump = 1; dump <= dumps; ++dump) {
    for (long step = 0; step < steps; ++step) Advance(&field);
    const std::string name = std::string("/step-") + (dump < 10 ? "0" : "") + std::to_string(dump);
    if (!Dump(field, argv[1] + name)) {
      std::perror("front");
      return 1;
    }
  }
  return 0;
}
