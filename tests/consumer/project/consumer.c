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
  return argc > 1 ? round_trip(argv[1]) : 0;
}
