/* A C99 program that uses the installed library. Where the library's dependencies are bundled, it
   defines functions of their names: they must not get in each other's way. */
#include <ckpt/ckpt.h>
#include <stdio.h>
#include <string.h>

#ifdef DEPENDENCIES_BUNDLED
int mdb_env_open(void);
int ZSTD_compress(void);
int mdb_env_open(void) { return 1; }
int ZSTD_compress(void) { return 2; }
#endif

/* Saves two arrays into a store and reads them back. 0 when every byte is as it was. */
static int round_trip(const char* path) {
  ckpt_store* store = NULL;
  ckpt_open_options open_options = CKPT_OPEN_OPTIONS_INIT;
  open_options.mode = CKPT_OPEN_CREATE;
  if (ckpt_store_open(path, &open_options, &store) != CKPT_OK) return 1;

  double field[4][500];
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 500; ++j) field[i][j] = i + j * 1e-3;
  }
  const int64_t done = 7;
  const uint64_t shape[2] = {4, 500};
  ckpt_save_options options = CKPT_SAVE_OPTIONS_INIT;
  options.series = "c";
  ckpt_writer* writer = NULL;
  ckpt_save_result saved = CKPT_SAVE_RESULT_INIT;
  int ok = ckpt_begin(store, &options, &writer) == CKPT_OK &&
           ckpt_put(writer, "field", field, CKPT_FLOAT64, 8, 2, shape) == CKPT_OK &&
           ckpt_put(writer, "done", &done, CKPT_INT64, 8, 0, NULL) == CKPT_OK &&
           ckpt_end(writer, &saved) == CKPT_OK && saved.logical_bytes == sizeof(field) + 8;

  double again[4][500];
  int64_t again_done = 0;
  ckpt_reader* reader = NULL;
  ckpt_entry entry;
  ok = ok && ckpt_read(store, "c", &reader) == CKPT_OK &&
       ckpt_query(reader, "field", &entry) == CKPT_OK && entry.dtype == CKPT_FLOAT64 &&
       entry.dimensions == 2 && entry.shape[0] == 4 && entry.shape[1] == 500 &&
       ckpt_get(reader, "field", again, sizeof(again)) == CKPT_OK &&
       ckpt_get(reader, "done", &again_done, sizeof(again_done)) == CKPT_OK &&
       memcmp(field, again, sizeof(field)) == 0 && again_done == done &&
       ckpt_get(reader, "field", again, 3) == CKPT_INVALID_ARGUMENT;
  if (!ok) fprintf(stderr, "round trip: %s\n", ckpt_error_message());
  ckpt_reader_close(reader);
  ckpt_store_close(store);
  return ok ? 0 : 1;
}

/* Runs until `last` in a session, continuing what is there. Answers main's exit status. */
static int run(const char* path, int64_t last, double* sum) {
  double memory[2][500];
  double* now = memory[0];
  double* next = memory[1];
  int64_t done = 0;
  const uint64_t shape[1] = {500};
  ckpt_session_options options = CKPT_SESSION_OPTIONS_INIT;
  options.every_steps = 2;
  ckpt_session* session = NULL;
  ckpt_session_restored restored = CKPT_SESSION_RESTORED_INIT;
  if (ckpt_session_open(path, "session", &options, &session) != CKPT_OK) return 1;
  if (ckpt_session_protect_pointer(session, "T", (void**)&now, CKPT_FLOAT64, 8, 1, shape) !=
          CKPT_OK ||
      ckpt_session_restore(session, &restored) != CKPT_OK) {
    ckpt_session_close(session);
    return 1;
  }
  done = restored.step;
  if (!restored.restored) memset(memory, 0, sizeof(memory));
  while (done < last) {
    double* swap = now;
    int32_t outcome = CKPT_STEP_CONTINUE;
    for (int i = 0; i < 500; ++i) next[i] = 0.5 * now[i] + (double)(i + done);
    now = next;
    next = swap;
    ++done;
    if (ckpt_session_step(session, done, &outcome) != CKPT_OK) break;
    if (outcome == CKPT_STEP_STOP) break;
  }
  *sum = 0;
  for (int i = 0; i < 500; ++i) *sum += now[i];
  return ckpt_session_finish(session, done == last);
}

/* Interrupted and continued, or in one go: the same. */
static int session_round_trip(const char* path) {
  char whole_path[4096];
  double half = 0, continued = 0, whole = 1;
  if (snprintf(whole_path, sizeof(whole_path), "%s-whole", path) >= (int)sizeof(whole_path))
    return 1;
  if (run(path, 4, &half) == 0 && run(path, 9, &continued) == 0 &&
      run(whole_path, 9, &whole) == 0 && continued == whole && half != whole) {
    return 0;
  }
  fprintf(stderr, "session: %g, %g, %g: %s\n", half, continued, whole, ckpt_error_message());
  return 1;
}

static int has_key(const char* path) {
  char key[CKPT_FILE_KEY_BYTES];
  return ckpt_file_key(path, key) == CKPT_OK && strlen(key) == CKPT_FILE_KEY_BYTES - 1;
}

int main(int argc, char** argv) {
  const int32_t expected =
      CKPT_VERSION_MAJOR * 1000000 + CKPT_VERSION_MINOR * 1000 + CKPT_VERSION_PATCH;
  if (ckpt_version() != expected) {
    fprintf(stderr, "the library is %d, its header %d\n", (int)ckpt_version(), (int)expected);
    return 1;
  }
#ifdef DEPENDENCIES_BUNDLED
  if (mdb_env_open() != 1 || ZSTD_compress() != 2) return 1;
#endif
  if (argc < 2) return 0;
  if (!has_key(argv[0])) return 1;
  if (round_trip(argv[1]) != 0) return 1;
  return session_round_trip(argv[1]);
}
