/* wave: a membrane, fixed at its edges, on which drops fall. The whole of a code that saves itself,
 * stops when the cluster tells it to, and continues: with ckpt-store's recipe, in C99.
 *
 *   wave --steps 20000 --size 200 --store run.ckpt
 *
 * Prints where it began and, at the end, a checksum of the membrane. The same steps give the same
 * bits, however often the run was killed and started again. Exit status: 0 complete; stopped by a
 * signal, that signal.
 */
#define _POSIX_C_SOURCE 200809L

#include <ckpt/ckpt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double kSpeed = 0.2; /* squared, in points and steps; stable up to 1/2 */
static const double kFriction = 0.002;
static const int64_t kStepsBetweenDrops = 50;

struct options {
  size_t size;
  int64_t steps;
  double seconds; /* between saves */
  double pace_ms;
  const char* store;
  int32_t log;
};

/* All that the next step depends on but `next`, which it overwrites. */
struct wave {
  size_t size;    /* points on each side */
  double* before; /* one step ago */
  double* now;
  double* next;
  uint64_t random; /* where the next drop falls; never 0 */
};

static int make_wave(struct wave* wave, size_t size) {
  wave->size = size;
  wave->before = calloc(size * size, sizeof(double));
  wave->now = calloc(size * size, sizeof(double));
  wave->next = calloc(size * size, sizeof(double));
  wave->random = 88172645463325252u;
  return wave->before != NULL && wave->now != NULL && wave->next != NULL;
}

static void free_wave(struct wave* wave) {
  free(wave->before);
  free(wave->now);
  free(wave->next);
}

/* A point that is not on the edge (Marsaglia's xorshift). */
static size_t random_point(struct wave* wave) {
  const uint64_t inner = wave->size - 2;
  uint64_t x = wave->random;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  wave->random = x;
  return (size_t)((1 + x / inner % inner) * wave->size + 1 + x % inner);
}

/* One step. The three arrays change their roles: their pointers are swapped, not their contents. */
static void advance(struct wave* wave, int64_t done) {
  const size_t n = wave->size;
  double* const before = wave->before;
  double* const now = wave->now;
  double* const next = wave->next;
  if (done % kStepsBetweenDrops == 0) now[random_point(wave)] += 1.0;
  for (size_t y = 1; y + 1 < n; ++y) {
    for (size_t i = y * n + 1; i + 1 < y * n + n; ++i) {
      const double pull = now[i - 1] + now[i + 1] + now[i - n] + now[i + n] - 4.0 * now[i];
      next[i] = now[i] + (1.0 - kFriction) * (now[i] - before[i]) + kSpeed * pull;
    }
  }
  wave->before = now;
  wave->now = next;
  wave->next = before;
}

/* FNV-1a over the bytes of the membrane. */
static uint64_t checksum(const struct wave* wave) {
  const unsigned char* bytes = (const unsigned char*)wave->now;
  uint64_t sum = 14695981039346656037u;
  for (size_t i = 0; i < wave->size * wave->size * sizeof(double); ++i) {
    sum = (sum ^ bytes[i]) * 1099511628211u;
  }
  return sum;
}

static void wait_ms(double ms) {
  struct timespec time;
  time.tv_sec = (time_t)(ms / 1e3);
  time.tv_nsec = (long)((ms - 1e3 * (double)time.tv_sec) * 1e6);
  nanosleep(&time, NULL); /* a signal may cut it short */
}

/* Pointers by their address: where they point to is looked up anew at each save. */
static ckpt_code protect(ckpt_session* session, struct wave* wave) {
  const uint64_t shape[2] = {wave->size, wave->size};
  ckpt_code code = ckpt_session_protect_pointer(session, "before", (void**)&wave->before,
                                                CKPT_FLOAT64, 8, 2, shape);
  if (code != CKPT_OK) return code;
  code =
      ckpt_session_protect_pointer(session, "now", (void**)&wave->now, CKPT_FLOAT64, 8, 2, shape);
  if (code != CKPT_OK) return code;
  return ckpt_session_protect(session, "random", &wave->random, CKPT_UINT64, 8, 0, NULL);
}

static int fail(ckpt_session* session) {
  fprintf(stderr, "wave: %s\n", ckpt_error_message());
  ckpt_session_close(session);
  return 1;
}

/* Answers main's exit status. */
static int run(const struct options* options, struct wave* wave) {
  int64_t done = 0; /* steps completed */
  char key[64];
  snprintf(key, sizeof key, "wave size %zu", wave->size);
  ckpt_session_options how = CKPT_SESSION_OPTIONS_INIT;
  how.compatibility = key;
  how.every_seconds = options->seconds;
  how.log = options->log;

  ckpt_session* session = NULL;
  ckpt_session_restored restored = CKPT_SESSION_RESTORED_INIT;
  if (ckpt_session_open(options->store, "wave", &how, &session) != CKPT_OK) return fail(NULL);
  if (protect(session, wave) != CKPT_OK) return fail(session);
  if (ckpt_session_restore(session, &restored) != CKPT_OK) return fail(session);
  if (restored.restored) {
    done = restored.step;
    printf("continued from step %" PRId64 "\n", done);
  } else {
    printf("from the beginning\n");
  }
  fflush(stdout);
  while (done < options->steps) {
    int32_t outcome = CKPT_STEP_CONTINUE;
    advance(wave, done);
    ++done;
    if (options->pace_ms > 0) wait_ms(options->pace_ms);
    if (ckpt_session_step(session, done, &outcome) != CKPT_OK) {
      fprintf(stderr, "wave: %s\n", ckpt_error_message()); /* it goes on, and tries again */
    }
    if (outcome == CKPT_STEP_STOP) break;
  }
  if (done == options->steps) {
    printf("step %" PRId64 " checksum %016" PRIx64 "\n", done, checksum(wave));
  } else {
    printf("stopped after step %" PRId64 "\n", done);
  }
  /* Flushes standard output, also where it ends here by the signal that stopped it. */
  return ckpt_session_finish(session, done == options->steps);
}

static int parse_options(int argc, char** argv, struct options* options) {
  for (int i = 1; i < argc; ++i) {
    const char* name = argv[i];
    if (strcmp(name, "--log") == 0) {
      options->log = 1;
      continue;
    }
    if (++i == argc) return 0;
    if (strcmp(name, "--size") == 0) {
      options->size = (size_t)atoll(argv[i]);
    } else if (strcmp(name, "--steps") == 0) {
      options->steps = atoll(argv[i]);
    } else if (strcmp(name, "--seconds") == 0) {
      options->seconds = atof(argv[i]);
    } else if (strcmp(name, "--pace") == 0) {
      options->pace_ms = atof(argv[i]);
    } else if (strcmp(name, "--store") == 0) {
      options->store = argv[i];
    } else {
      return 0;
    }
  }
  return options->size >= 3 && options->size <= 20000 && options->steps >= 0;
}

int main(int argc, char** argv) {
  struct options options = {200, 20000, 0, 0, "run.ckpt", 0};
  struct wave wave;
  int status = 1;
  if (!parse_options(argc, argv, &options)) {
    fprintf(stderr,
            "usage: wave [--size N] [--steps N] [--seconds T] [--pace MILLISECONDS] [--store DIR] "
            "[--log]\n");
    return 2;
  }
  if (make_wave(&wave, options.size)) {
    status = run(&options, &wave);
  } else {
    fprintf(stderr, "wave: not enough memory for three arrays of %zu x %zu\n", options.size,
            options.size);
  }
  free_wave(&wave);
  return status;
}
