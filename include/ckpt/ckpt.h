/* ckpt-store: incremental, content-addressed checkpoints. The C interface, and the only binary one.
 *
 *   ckpt_store *store;
 *   ckpt_open_options open_options = CKPT_OPEN_OPTIONS_INIT;
 *   open_options.mode = CKPT_OPEN_CREATE;
 *   if (ckpt_store_open("run.ckpt", &open_options, &store) != CKPT_OK) {
 *     fprintf(stderr, "%s\n", ckpt_error_message());
 *     return 1;
 *   }
 *   ckpt_save_options save = CKPT_SAVE_OPTIONS_INIT;
 *   save.series = "melt";
 *   const char *paths[] = {"restart.5000", "log.lammps"};
 *   ckpt_save_result saved = CKPT_SAVE_RESULT_INIT;
 *   if (ckpt_save_files(store, &save, paths, 2, &saved) != CKPT_OK) ...
 *   ckpt_store_close(store);
 *
 * Rules for everything here:
 * - Functions that can fail return a ckpt_code; ckpt_error_message() then says what was tried, on
 *   which file, why it failed and what to do. On failure output parameters are untouched unless
 *   said otherwise. Nothing throws; nothing exits, prints or changes signal dispositions but a
 *   session, which says when.
 * - Structs that begin with struct_size are initialised with their ..._INIT macro and may grow: the
 *   library never reads or writes beyond struct_size.
 * - Strings are NUL-terminated bytes in any encoding. Strings and arrays handed to a callback live
 *   until it returns; those in result structs until the store is closed, unless said otherwise.
 * - A ckpt_store may be used by several threads, a ckpt_writer or ckpt_reader by one at a time, a
 *   ckpt_session by one thread for good. A forked child must not use the parent's handles.
 * - Callbacks are called on the calling thread; a nonzero answer ends the call with CKPT_CANCELLED.
 *   Notices of a session come from its helper thread as well.
 *
 * All integers are exact-width; sizes are in bytes, times in nanoseconds since 1970 (UTC).
 */
#ifndef CKPT_CKPT_H_
#define CKPT_CKPT_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(CKPT_BUILDING) && defined(__GNUC__)
#define CKPT_API __attribute__((visibility("default")))
#else
#define CKPT_API
#endif

/* ---- versions and errors ------------------------------------------------------------------- */

#define CKPT_VERSION_MAJOR 0
#define CKPT_VERSION_MINOR 1
#define CKPT_VERSION_PATCH 0

/* major * 1000000 + minor * 1000 + patch of the library that runs. */
CKPT_API int32_t ckpt_version(void);

/* Numbers are fixed for ever. Each says what the caller should do next. */
typedef enum ckpt_code {
  CKPT_OK = 0,
  CKPT_NOT_FOUND = 1,        /* no such store, series, checkpoint, entry or file */
  CKPT_CORRUPTION = 2,       /* stored bytes are damaged; the message names where */
  CKPT_IO = 3,               /* the system refused a call */
  CKPT_NO_SPACE = 4,         /* disk or quota full: free space, try again */
  CKPT_BUSY = 5,             /* somebody else holds it: wait, try again */
  CKPT_INVALID_ARGUMENT = 6, /* the caller's mistake */
  CKPT_UNSUPPORTED = 7,      /* this build, format or file system cannot */
  CKPT_OUT_OF_MEMORY = 8,
  CKPT_INTERNAL = 9, /* a bug in ckpt-store */
  CKPT_PERMISSION = 10,
  CKPT_EXISTS = 11,    /* something different is there and would be overwritten */
  CKPT_CANCELLED = 12, /* a callback asked to stop */
  CKPT_CODE_FORCE_32_BIT = 0x7fffffff
} ckpt_code;

/* Of the last failed call on this thread; "" if none. Valid until the thread's next call. */
CKPT_API const char* ckpt_error_message(void);
/* "not found", "corruption", ...; never NULL. */
CKPT_API const char* ckpt_code_name(ckpt_code code);

/* ---- opening a store ----------------------------------------------------------------------- */

typedef struct ckpt_store ckpt_store;

typedef struct ckpt_progress {
  const char* phase; /* "saving", "restoring", "checking", "indexing", ... */
  uint64_t done_bytes;
  uint64_t total_bytes; /* 0: not known */
  uint64_t done_items;
  uint64_t total_items; /* 0: not known */
} ckpt_progress;
typedef int (*ckpt_progress_fn)(const ckpt_progress* progress, void* user);
/* Something a person should know that is not an error: a store was created, a step began a new
 * attempt, a damaged index was rebuilt, a leading '/' was taken from names. One line, no newline.
 */
typedef void (*ckpt_notice_fn)(const char* message, void* user);

typedef enum ckpt_open_mode {
  CKPT_OPEN_READ = 0,      /* never writes anything, takes no lock */
  CKPT_OPEN_WRITE = 1,     /* must exist */
  CKPT_OPEN_CREATE = 2,    /* created when missing or an empty directory */
  CKPT_OPEN_CREATE_NEW = 3 /* created; CKPT_EXISTS if there is a store */
} ckpt_open_mode;

/* How much time a save may take so that less is stored. What is stored reads the same, and what is
 * there already is not stored anew. docs/benchmarks.md (Effort) has what each gives and costs;
 * ckpt_analyze and ckpt_estimate_efforts say it of the data at hand. */
typedef enum ckpt_effort {
  CKPT_EFFORT_DEFAULT = 0,  /* of an array: its save's; of a save: its store's; there: balanced */
  CKPT_EFFORT_FAST = 1,     /* zstd level 1 at most, and no differences */
  CKPT_EFFORT_BALANCED = 2, /* the store's level, and differences of at most half of the bytes */
  CKPT_EFFORT_SMALL = 3 /* level 14 at least, tried in full and not by samples; differences of at
                           most three quarters: slow to save, about as fast to restore */
} ckpt_effort;
CKPT_API const char* ckpt_effort_name(int32_t effort); /* "fast"; "unknown" */

typedef struct ckpt_open_options {
  size_t struct_size;
  int32_t mode;          /* ckpt_open_mode */
  int32_t threads;       /* helper threads for hashing and compression; 0: as many as cores */
  int32_t trust_owner;   /* open although another user owns it or everybody may write to it */
  int32_t group_shared;  /* at creation: readable and writable by its group */
  const char* index_dir; /* where the index lives; NULL: $CKPT_INDEX_DIR, else in the store on a
                            local file system, else below a node-local directory */
  uint32_t chunk_bytes;  /* at creation: average for files, a power of two; 0: 65536 */
  uint32_t array_chunk_bytes; /* at creation; 0: 65536 */
  int32_t level;              /* at creation: zstd level 1 ... 19; 0: 3 */
  int32_t no_verify;          /* skip "decompress and compare" before a chunk is written */
  uint64_t pack_bytes;        /* at creation: a pack is full beyond this; 0: 512 MiB */
  ckpt_progress_fn progress;
  ckpt_notice_fn notice;
  void* user;     /* for both */
  int32_t effort; /* at creation: ckpt_effort of all saves that do not say another */
} ckpt_open_options;
#define CKPT_OPEN_OPTIONS_INIT \
  { sizeof(ckpt_open_options), CKPT_OPEN_READ, 0, 0, 0, NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL, 0 }

/* CKPT_NOT_FOUND: no store there. CKPT_PERMISSION: owner or mode (see trust_owner).
 * CKPT_UNSUPPORTED: a newer format; the message names the feature. */
CKPT_API ckpt_code ckpt_store_open(const char* path, const ckpt_open_options* options,
                                   ckpt_store** store);
/* NULL is allowed. */
CKPT_API void ckpt_store_close(ckpt_store* store);

typedef struct ckpt_store_info {
  size_t struct_size;
  const char* path;
  const char* uuid; /* 32 hexadecimal digits */
  uint32_t format;
  int32_t created; /* by this very call of ckpt_store_open */
  uint32_t chunk_bytes;
  uint32_t array_chunk_bytes;
  int32_t level;
  int32_t effort; /* ckpt_effort */
} ckpt_store_info;
#define CKPT_STORE_INFO_INIT \
  { sizeof(ckpt_store_info), NULL, NULL, 0, 0, 0, 0, 0, 0 }
CKPT_API ckpt_code ckpt_store_get_info(ckpt_store* store, ckpt_store_info* info);

/* ---- checkpoints --------------------------------------------------------------------------- */

/* Checkpoints are named "SERIES" (the newest sound one), "SERIES@STEP" (of the newest attempt that
 * has it) or "SERIES@ATTEMPT:STEP". */

typedef struct ckpt_tag {
  const char* key;
  const char* value;
} ckpt_tag;

typedef struct ckpt_checkpoint {
  const char* series;
  uint64_t attempt;       /* ordinal, from 1 */
  const char* attempt_id; /* 32 hexadecimal digits */
  int64_t step;
  int32_t has_parent;      /* the attempt continues an earlier one ... */
  uint64_t parent_attempt; /* ... of this ordinal (0: no longer known) ... */
  int64_t parent_step;     /* ... from this step */
  uint32_t rank;
  uint32_t ranks;
  int64_t created_ns;
  const char* state; /* "committed", "staged", "incomplete", "damaged" */
  uint64_t entries;
  uint64_t files;
  uint64_t logical_bytes;
  uint64_t new_bytes;
  uint64_t stored_bytes; /* what the store grew by: ckpt_save_result's figure; of one that was
                            staged, without the mark that made it durable */
  uint64_t chunks;
  uint64_t new_chunks;
  const ckpt_tag* tags;
  size_t tag_count;
  const char* host_name;
  const char* job_id;
  int32_t abandoned; /* not on the line of the series' newest checkpoint */
} ckpt_checkpoint;
typedef int (*ckpt_checkpoint_fn)(const ckpt_checkpoint* checkpoint, void* user);

typedef struct ckpt_list_options {
  size_t struct_size;
  const char* series; /* NULL: all */
  int32_t all;        /* abandoned ones too */
  uint64_t last;      /* at most so many, the newest; 0: all */
} ckpt_list_options;
#define CKPT_LIST_OPTIONS_INIT \
  { sizeof(ckpt_list_options), NULL, 0, 0 }
/* Series in order of name; within one, newest attempt and step first. CKPT_NOT_FOUND: no such
 * series. */
CKPT_API ckpt_code ckpt_list(ckpt_store* store, const ckpt_list_options* options,
                             ckpt_checkpoint_fn fn, void* user);
/* The names of all series, in order. */
CKPT_API ckpt_code ckpt_list_series(ckpt_store* store, int (*fn)(const char* series, void* user),
                                    void* user);

/* ---- saving files -------------------------------------------------------------------------- */

#define CKPT_STEP_NEXT ((int64_t)-1) /* the attempt's last + 1; 1 in a new series */
#define CKPT_STEP_NONE ((int64_t)-1)

typedef struct ckpt_save_options {
  size_t struct_size;
  const char* series;
  int64_t step;      /* or CKPT_STEP_NEXT; not above the attempt's last: begins an attempt */
  int64_t from_step; /* go back on purpose: begin an attempt from this step; else CKPT_STEP_NONE */
  const ckpt_tag* tags;
  size_t tag_count;
  const char* const* excludes; /* glob patterns on names; '*' does not match '/', "**" does */
  size_t exclude_count;
  int32_t reread;          /* read files again although their size and times are unchanged */
  int64_t wait_ms;         /* for another save into the series: 0 not at all, -1 for ever */
  int32_t stream_fd;       /* >= 0: read to its end as one entry ... */
  const char* stream_name; /* ... of this name */
  const char* job_id;      /* NULL: $SLURM_JOB_ID */
  uint32_t rank;
  uint32_t ranks; /* 0 means 1; more need a step and a run_id */
  /* Asked once everything has been read and before anything is committed: nonzero, and there is no
   * checkpoint (CKPT_CANCELLED). For files that must belong together. May be NULL. Not used by
   * ckpt_begin. */
  int (*confirm)(void* user);
  void* confirm_user;
  const char* run_id; /* for ranks > 1: the same string in all ranks of one run, and in no other */
  int32_t effort;     /* ckpt_effort */
} ckpt_save_options;
#define CKPT_SAVE_OPTIONS_INIT                                                                   \
  {                                                                                              \
    sizeof(ckpt_save_options), NULL, CKPT_STEP_NEXT, CKPT_STEP_NONE, NULL, 0, NULL, 0, 0, 0, -1, \
        NULL, NULL, 0, 1, NULL, NULL, NULL, 0                                                    \
  }

typedef struct ckpt_save_result {
  size_t struct_size;
  uint64_t attempt;
  int64_t step;
  int32_t new_attempt; /* this save began it */
  uint64_t logical_bytes;
  uint64_t read_bytes;
  uint64_t new_bytes;    /* raw bytes of chunks that were not there before */
  uint64_t stored_bytes; /* what the store grew by */
  uint64_t files;
  uint64_t entries;
  uint64_t chunks;
  uint64_t new_chunks;
  double seconds;
} ckpt_save_result;
#define CKPT_SAVE_RESULT_INIT \
  { sizeof(ckpt_save_result), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0 }

/* Saves files, folders, links as one durable checkpoint. When it returns CKPT_OK the checkpoint
 * survives the loss of power. CKPT_BUSY: another save into this series is running. CKPT_IO also
 * when a file kept changing while it was read. */
CKPT_API ckpt_code ckpt_save_files(ckpt_store* store, const ckpt_save_options* options,
                                   const char* const* paths, size_t path_count,
                                   ckpt_save_result* result);

/* ---- restoring files ----------------------------------------------------------------------- */

typedef struct ckpt_restore_options {
  size_t struct_size;
  const char* checkpoint;
  const char* to; /* an existing or new folder */
  const char* const* includes;
  size_t include_count;
  int32_t force; /* overwrite differing files */
  int32_t dry_run;
  int32_t sync;     /* make what was restored durable */
  int32_t fallback; /* damaged: take the newest sound one before it */
} ckpt_restore_options;
#define CKPT_RESTORE_OPTIONS_INIT \
  { sizeof(ckpt_restore_options), NULL, ".", NULL, 0, 0, 0, 0, 0 }

typedef struct ckpt_restore_result {
  size_t struct_size;
  const char* series;
  uint64_t attempt;
  int64_t step;
  uint64_t files; /* entries written (or that would be) */
  uint64_t bytes;
  uint64_t skipped; /* were there already, equal */
  int32_t fell_back;
  double seconds;
} ckpt_restore_result;
#define CKPT_RESTORE_RESULT_INIT \
  { sizeof(ckpt_restore_result), NULL, 0, 0, 0, 0, 0, 0, 0.0 }

/* Each file appears whole. CKPT_EXISTS: a differing file is in the way (nothing was changed).
 * CKPT_CORRUPTION: names what is damaged; nothing damaged is left under its final name.
 * CKPT_NOT_FOUND is about the checkpoint alone: a folder that is missing where it is to go is
 * CKPT_IO. `entry` (may be NULL) is told every name as it is restored. */
CKPT_API ckpt_code ckpt_restore_files(ckpt_store* store, const ckpt_restore_options* options,
                                      int (*entry)(const char* name, uint64_t bytes, void* user),
                                      void* user, ckpt_restore_result* result);

/* ---- looking into a checkpoint ------------------------------------------------------------- */

/* Element types; the numbers are on disk. */
typedef enum ckpt_dtype {
  CKPT_INT8 = 1,
  CKPT_INT16,
  CKPT_INT32,
  CKPT_INT64,
  CKPT_UINT8,
  CKPT_UINT16,
  CKPT_UINT32,
  CKPT_UINT64,
  CKPT_FLOAT16,
  CKPT_BFLOAT16,
  CKPT_FLOAT32,
  CKPT_FLOAT64,
  CKPT_FLOAT80,
  CKPT_FLOAT128,
  CKPT_COMPLEX64,
  CKPT_COMPLEX128,
  CKPT_BOOL,
  CKPT_STRING, /* element_bytes long */
  CKPT_RECORD, /* element_bytes long, opaque */
  CKPT_BYTES
} ckpt_dtype;
CKPT_API const char* ckpt_dtype_name(int32_t dtype); /* "float64"; "unknown" */

typedef enum ckpt_entry_kind {
  CKPT_ENTRY_FILE = 0,
  CKPT_ENTRY_DIRECTORY = 1,
  CKPT_ENTRY_SYMLINK = 2,
  CKPT_ENTRY_HARDLINK = 3,
  CKPT_ENTRY_ARRAY = 4,
  CKPT_ENTRY_STREAM = 5
} ckpt_entry_kind;

typedef struct ckpt_entry {
  const char* name;
  int32_t kind;  /* ckpt_entry_kind */
  uint32_t mode; /* permission bits; files, folders, streams */
  uint32_t uid;
  uint32_t gid;
  int64_t mtime_ns;
  const char* target; /* of a link, else "" */
  int32_t dtype;      /* arrays; else 0 */
  int32_t column_major;
  uint32_t element_bytes;
  uint32_t dimensions;
  const uint64_t* shape; /* dimensions extents */
  uint64_t logical_bytes;
  uint64_t stored_bytes; /* of its distinct chunks as stored, headers included */
  uint64_t chunks;
  uint64_t new_chunks; /* not in the checkpoint before on the line */
  uint64_t new_bytes;  /* their raw bytes */
  const char* codec;   /* "zstd", "raw", "shuffle8+zstd", "delta8+zstd", "mixed"; "": no chunks */
} ckpt_entry;
typedef int (*ckpt_entry_fn)(const ckpt_entry* entry, void* user);

/* `checkpoint` (may be NULL) is told first, once for each rank that is saved; the entries follow,
 * rank by rank in the same order, as many of each as its `entries` says; `pack` (may be NULL) each
 * pack it relies on, with the checkpoint's stored bytes in it. `entry` may be NULL. */
CKPT_API ckpt_code ckpt_inspect(ckpt_store* store, const char* checkpoint_name,
                                ckpt_checkpoint_fn checkpoint, ckpt_entry_fn entry,
                                int (*pack)(const char* pack_id, uint64_t bytes, void* user),
                                void* user);

typedef struct ckpt_range {
  uint64_t offset;
  uint64_t length_bytes;
} ckpt_range;
typedef struct ckpt_diff_entry {
  const char* name;
  const char* status; /* "added", "removed", "changed", "metadata" */
  /* Told by chunks. In an array: bytes of B whose chunk A does not have at that place; in a file or
   * stream, whose bytes may move: whose chunk A's entry has nowhere. Of A when removed. */
  uint64_t changed_bytes;
  uint64_t logical_bytes;
  const ckpt_range* ranges; /* where in B, ascending; at most the first 1000 */
  size_t range_count;
} ckpt_diff_entry;
CKPT_API ckpt_code ckpt_diff(ckpt_store* store, const char* a, const char* b,
                             int (*fn)(const ckpt_diff_entry* entry, void* user), void* user);

/* An entry's bytes, verified, in order. `write` answers nonzero to stop. length UINT64_MAX: to the
 * end. Links and folders have no bytes: CKPT_INVALID_ARGUMENT. */
CKPT_API ckpt_code ckpt_cat(ckpt_store* store, const char* checkpoint, const char* entry,
                            uint64_t offset, uint64_t length_bytes,
                            int (*write)(const void* data, size_t bytes, void* user), void* user);

/* ---- arrays from memory -------------------------------------------------------------------- */

typedef struct ckpt_writer ckpt_writer;
/* Begins a checkpoint of arrays (paths and stream options are not used). Holds the series' lock
 * until ckpt_end or ckpt_abort. */
CKPT_API ckpt_code ckpt_begin(ckpt_store* store, const ckpt_save_options* options,
                              ckpt_writer** writer);
/* Copies nothing that is unchanged; `data` may be reused when this returns. `element_bytes`: of
 * CKPT_STRING and CKPT_RECORD; for other types 0 or their size. A name may be put once. */
CKPT_API ckpt_code ckpt_put(ckpt_writer* writer, const char* name, const void* data, int32_t dtype,
                            uint32_t element_bytes, uint32_t dimensions, const uint64_t* shape);
/* The ckpt_effort of arrays that are put from here on. */
CKPT_API ckpt_code ckpt_put_effort(ckpt_writer* writer, int32_t effort);
/* Commits (durable on CKPT_OK) and frees the writer, whatever it returns. */
CKPT_API ckpt_code ckpt_end(ckpt_writer* writer, ckpt_save_result* result);
/* Frees the writer; the checkpoint never exists. NULL is allowed. */
CKPT_API void ckpt_abort(ckpt_writer* writer);

typedef struct ckpt_reader ckpt_reader;
/* Holds no lock: a checkpoint that is removed meanwhile reads as CKPT_NOT_FOUND. */
CKPT_API ckpt_code ckpt_read(ckpt_store* store, const char* checkpoint, ckpt_reader** reader);
CKPT_API void ckpt_reader_close(ckpt_reader* reader);
CKPT_API ckpt_code ckpt_reader_info(ckpt_reader* reader, ckpt_checkpoint_fn fn, void* user);
/* Type, shape and sizes of one entry (stored_bytes and new_* are 0 here). Strings live until the
 * reader's next call. */
CKPT_API ckpt_code ckpt_query(ckpt_reader* reader, const char* name, ckpt_entry* entry);
/* All of an entry's bytes into `data`, which must have exactly its logical bytes
 * (CKPT_INVALID_ARGUMENT otherwise). On CKPT_CORRUPTION the contents of `data` are undefined. */
CKPT_API ckpt_code ckpt_get(ckpt_reader* reader, const char* name, void* data, uint64_t data_bytes);

/* ---- a session: a computation that saves itself and continues ------------------------------- */

/* The recipe (docs/sessions.md has all of it; examples/heat3d a whole program):
 *
 *   ckpt_session_options options = CKPT_SESSION_OPTIONS_INIT;
 *   ckpt_session *session;
 *   if (ckpt_session_open("run.ckpt", "heat3d", &options, &session) != CKPT_OK) ...
 *   int64_t done = 0;                                      steps completed
 *   uint64_t shape[1] = {n};
 *   ckpt_session_protect_pointer(session, "T", (void **)&T, CKPT_FLOAT64, 8, 1, shape);
 *   ckpt_session_restored restored = CKPT_SESSION_RESTORED_INIT;
 *   if (ckpt_session_restore(session, &restored) != CKPT_OK) ...
 *   if (restored.restored) done = restored.step; else initialise(T);
 *   while (done < last) {
 *     advance(&T, &Tnew);                                  may swap them
 *     ++done;
 *     int32_t outcome;
 *     ckpt_session_step(session, done, &outcome);          a consistent point
 *     if (outcome == CKPT_STEP_STOP) break;
 *   }
 *   return ckpt_session_finish(session, done == last);
 *
 * One thread makes all calls, outside parallel regions (CKPT_INVALID_ARGUMENT from another one, and
 * in a forked child); ckpt_session_get_report may be called by any. Open it after MPI_Init and
 * whatever else installs signal handlers. Memory that is protected stays the caller's, must not
 * move while a call of this section runs, and is read only inside them. */
typedef struct ckpt_session ckpt_session;

typedef enum ckpt_durability {
  CKPT_DURABLE_EACH_SAVE = 0,
  CKPT_DURABLE_INTERVAL = 1,  /* at most durable_seconds after it was staged */
  CKPT_DURABLE_ON_REQUEST = 2 /* on a signal, by ckpt_session_commit and ckpt_session_finish */
} ckpt_durability;

/* How a save finds what changed. The kernel sees writes to private anonymous memory (malloc's,
 * static arrays without initial values) on Linux 6.7 and later, for any user; everything else is
 * read and hashed, as without it. It costs the first write to each 4 KiB after a save some
 * microseconds (first_write_s). */
typedef enum ckpt_change_detection {
  CKPT_DETECT_HASH = 0,   /* by reading everything */
  CKPT_DETECT_KERNEL = 1, /* by the kernel, where it can; a notice says when it cannot */
  CKPT_DETECT_AUTO = 2    /* by whichever costs less, for each array anew now and then */
} ckpt_change_detection;

/* When storage fails. What was saved before stays in any case, and old checkpoints that retention
 * lets go are collected when the disk is full. */
typedef enum ckpt_on_error {
  CKPT_ON_ERROR_GO_ON = 0, /* the next call answers the error; a later Step tries again */
  CKPT_ON_ERROR_RETRY = 1, /* Step waits and tries until it works or a stop signal comes; End waits
                              until the save is staged, or failed: then begin the step again */
  CKPT_ON_ERROR_STOP = 2   /* Step and End answer CKPT_STEP_STOP */
} ckpt_on_error;

typedef enum ckpt_on_stop {
  CKPT_ON_STOP_SIGNAL = 0, /* the process ends by the signal that stopped it */
  CKPT_ON_STOP_LEAVE = 1   /* the exit is left to the code */
} ckpt_on_stop;

typedef struct ckpt_session_options {
  size_t struct_size;
  /* NULL: created when missing. Without a notice function notices go to standard error. */
  const ckpt_open_options* store;
  const char* compatibility; /* whose state this is (any string; of an input file: ckpt_file_key):
                                a checkpoint with another key is refused */
  int32_t warn_only;         /* ... or only noticed */
  int32_t lenient;           /* restore: what is protected may be missing */
  int64_t every_steps;       /* save every so many steps ... */
  double every_seconds;      /* ... or seconds, whichever comes first; both 0: as often as */
  double mean_time_between_failures_s; /* Young and Daly's formula says for this; 0: a day */
  int64_t end_time_ns;                 /* of the allocation; 0: $SLURM_JOB_END_TIME, if it is set */
  int32_t durability;                  /* ckpt_durability */
  double durable_seconds;
  uint64_t buffer_bytes;       /* of this session: changed bytes not yet written; 0: 64 MiB */
  const int32_t* stop_signals; /* NULL: SIGTERM. With a count of 0 and not NULL: none */
  size_t stop_signal_count;
  const int32_t* save_signals; /* "checkpoint now"; NULL: SIGUSR1 */
  size_t save_signal_count;
  double grace_seconds;   /* from a stop signal to SIGKILL; 0: 25. Until the allocation's end where
                             that is later, known (end_time_ns) and at most 15 minutes away */
  int32_t on_stop;        /* ckpt_on_stop */
  int32_t on_error;       /* ckpt_on_error */
  uint64_t keep_last;     /* retention: checkpoints of the series to keep */
  int64_t keep_every;     /* ... and steps that are multiples */
  int64_t keep_within_ns; /* ... and those made within so long before the newest */
  int32_t keep_all;       /* no retention */
  double housekeeping_share; /* of the time, at most, for retention; 0: 0.05 */
  /* A checkpoint of several ranks is complete when each has saved that step. Safe by itself is only
   * every_steps (then at its multiples): clocks and signals are each process's own. For all else
   * decide in one rank, tell the others, and save by ckpt_session_begin in all (docs/sessions.md,
   * Several ranks). */
  uint32_t rank;
  uint32_t ranks;        /* 0 means 1 */
  const char* run_id;    /* for ranks > 1: the same string in all ranks of one run */
  const char* job_id;    /* NULL: $SLURM_JOB_ID */
  int64_t wait_ms;       /* for another session of the series to end; -1: for ever */
  int32_t log;           /* a line for each save to standard error */
  int32_t ask_scheduler; /* for end_time_ns: one call of scontrol, by rank 0 */
  /* What the store may take; 0: as much as there is. Before a save would go over it retention is
   * applied and collected, then the oldest checkpoints of the series go, never the newest sound
   * one (none with keep_all). What still does not fit is CKPT_NO_SPACE, as on a full disk. */
  uint64_t quota_bytes; /* allocated by the files in its packs folder */
  uint64_t quota_files; /* files and folders in all */
  /* Threads that look for what changed while the application waits in a save, its own among them:
   * the cores that are idle then. 0 means 1. The others live no longer than that. */
  uint32_t hash_threads;
  int32_t change_detection; /* ckpt_change_detection */
  uint32_t audit_saves; /* every so many saves everything is hashed nevertheless; 0 means 16. What
                           changed unseen is noticed, counted (missed_bytes), and ends that trust */
  int32_t reserved;     /* 0 */
  int32_t effort;       /* ckpt_effort of what is stored */
} ckpt_session_options;
#define CKPT_SESSION_OPTIONS_INIT                                                                  \
  {                                                                                                \
    sizeof(ckpt_session_options), NULL, NULL, 0, 0, 0, 0.0, 0.0, 0, CKPT_DURABLE_EACH_SAVE, 60.0,  \
        0, NULL, 0, NULL, 0, 0.0, CKPT_ON_STOP_SIGNAL, CKPT_ON_ERROR_GO_ON, 2, 0, 0, 0, 0.0, 0, 1, \
        NULL, NULL, 10000, 0, 0, 0, 0, 1, CKPT_DETECT_HASH, 0, 0, 0                                \
  }

/* A compatibility key for a computation that depends on an input file: the XXH3-128 of the file's
 * bytes, as 32 hexadecimal digits and a NUL (what `xxhsum -H2` prints). Links are followed;
 * CKPT_INVALID_ARGUMENT: it is no regular file. */
#define CKPT_FILE_KEY_BYTES 33
CKPT_API ckpt_code ckpt_file_key(const char* path, char key[CKPT_FILE_KEY_BYTES]);

/* Opens the store, takes the series for this process and the signals for the session, and starts
 * one helper thread. CKPT_BUSY: another session or save of the series is running. */
CKPT_API ckpt_code ckpt_session_open(const char* path, const char* series,
                                     const ckpt_session_options* options, ckpt_session** session);

/* ---- what is protected */

typedef struct ckpt_array {
  void* data;
  int32_t dtype;
  uint32_t element_bytes; /* of CKPT_STRING and CKPT_RECORD; else 0 or the type's size */
  int32_t column_major;
  uint32_t dimensions; /* at most 32 */
  uint64_t shape[32];
} ckpt_array;

/* Memory that stays where it is. */
CKPT_API ckpt_code ckpt_session_protect(ckpt_session* session, const char* name, void* data,
                                        int32_t dtype, uint32_t element_bytes, uint32_t dimensions,
                                        const uint64_t* shape);
/* Memory a pointer of the caller's points to; *pointer is read anew at each save, so arrays may be
 * swapped. At restore it must point to memory of this shape. */
CKPT_API ckpt_code ckpt_session_protect_pointer(ckpt_session* session, const char* name,
                                                void** pointer, int32_t dtype,
                                                uint32_t element_bytes, uint32_t dimensions,
                                                const uint64_t* shape);
/* Memory that functions tell of. They answer nonzero to fail; `user` is theirs. */
typedef struct ckpt_protected {
  size_t struct_size;
  int32_t dtype;          /* a checkpoint with another type, or size of elements, is refused */
  uint32_t element_bytes; /* as in ckpt_array */
  const char* layout;     /* of records: one saved with another tag, or none, is refused (with
                             none: unless lenient); NULL: any */
  int (*locate)(ckpt_array* array, void* user); /* where and what it is now */
  /* Whether what was saved can be restored; must touch nothing. NULL: any shape. */
  int (*accepts)(const ckpt_array* saved, void* user);
  /* Makes room for what was saved and fills in *data. */
  int (*prepare)(const ckpt_array* saved, void** data, void* user);
  void* user;
} ckpt_protected;
#define CKPT_PROTECTED_INIT \
  { sizeof(ckpt_protected), 0, 0, NULL, NULL, NULL, NULL, NULL }
CKPT_API ckpt_code ckpt_session_protect_with(ckpt_session* session, const char* name,
                                             const ckpt_protected* how);
/* State that functions turn into bytes and back. `save` calls ckpt_sink_write as often as it likes;
 * `load` is called at restore after all arrays were filled. */
typedef struct ckpt_sink ckpt_sink;
CKPT_API ckpt_code ckpt_sink_write(ckpt_sink* sink, const void* data, uint64_t bytes);
CKPT_API ckpt_code ckpt_session_protect_stream(
    ckpt_session* session, const char* name, int (*save)(ckpt_sink* sink, void* user),
    int (*load)(const void* data, uint64_t bytes, void* user), void* user);
/* No longer saved. CKPT_NOT_FOUND: it was not. */
CKPT_API ckpt_code ckpt_session_unprotect(ckpt_session* session, const char* name);
/* What was saved under the name of an array that is protected may have another element type: it is
 * converted at restore, between integers and floats (CKPT_INT8 ... CKPT_FLOAT64). The shape must be
 * the same. Numbers are rounded to the nearest where floats are narrower; one that does not fit
 * (out of range, or not whole where integers are wanted) is CKPT_INVALID_ARGUMENT at restore, with
 * its index and both types named, before anything is touched. Costs reading the array twice. */
CKPT_API ckpt_code ckpt_session_convert(ckpt_session* session, const char* name);
/* A tag for what is in the records that are protected under the name, like ckpt_protected's layout:
 * for memory protected by ckpt_session_protect and ..._pointer. Say it before the restore. Without
 * one, records of the same size are taken whatever their members are. CKPT_NOT_FOUND: nothing is
 * protected under that name. */
CKPT_API ckpt_code ckpt_session_set_layout(ckpt_session* session, const char* name,
                                           const char* layout);
/* The ckpt_effort of what is protected under the name, from the next save on: small for what hardly
 * changes, say, and fast for what is noise. CKPT_NOT_FOUND: nothing is. */
CKPT_API ckpt_code ckpt_session_set_effort(ckpt_session* session, const char* name, int32_t effort);
/* A file the code appends to (its log): its length is recorded with each save and cut back to that
 * at restore, so that lines are not written twice. Flush streams before a Step; open the file after
 * the restore, or for appending. */
/* A relative path is one from the folder of this moment; the next run may name the same file
 * otherwise. Links are followed. CKPT_INVALID_ARGUMENT: it is there and no regular file, or (as for
 * what is protected) the checkpoint that was restored has it and it was not attached by then. */
CKPT_API ckpt_code ckpt_session_attach_file(ckpt_session* session, const char* path);

/* ---- restoring */

typedef struct ckpt_session_restored {
  size_t struct_size;
  int32_t restored; /* 0: the series has no checkpoint; begin from scratch */
  int64_t step;
  uint64_t attempt;
  /* Strings live until the session is closed. */
  const char* const* passed_over; /* newer checkpoints that are damaged, each with why */
  size_t passed_over_count;
  const char* const* missing; /* protected, and not in the checkpoint (lenient) */
  size_t missing_count;
  const char* const* left_over; /* in the checkpoint, and not protected */
  size_t left_over_count;
} ckpt_session_restored;
#define CKPT_SESSION_RESTORED_INIT \
  { sizeof(ckpt_session_restored), 0, 0, 0, NULL, 0, NULL, 0, NULL, 0 }
/* The newest checkpoint that verifies goes into what is protected. CKPT_INVALID_ARGUMENT: it does
 * not fit (shape, type, layout, compatibility key, ranks, something missing); nothing was touched.
 * CKPT_CORRUPTION: there are checkpoints and none is sound. An error after memory was touched (a
 * function of the caller's fails, say) says that the contents of what is protected are undefined.
 * What the restored checkpoint has can then be protected only after ckpt_session_get read it, until
 * the first save. */
CKPT_API ckpt_code ckpt_session_restore(ckpt_session* session, ckpt_session_restored* restored);
/* The same from one step, and no other. */
CKPT_API ckpt_code ckpt_session_restore_step(ckpt_session* session, int64_t step,
                                             ckpt_session_restored* restored);
/* Entries of the restored checkpoint, until the first save: for state that is not protected but
 * put. Pointers in *entry live until the next call. */
CKPT_API ckpt_code ckpt_session_query(ckpt_session* session, const char* name, ckpt_entry* entry);
CKPT_API ckpt_code ckpt_session_get(ckpt_session* session, const char* name, void* data,
                                    uint64_t data_bytes);
/* All `count` elements as `dtype`, converted as by ckpt_session_convert where they were saved as
 * another type. On CKPT_INVALID_ARGUMENT `data` was not touched. */
CKPT_API ckpt_code ckpt_session_get_as(ckpt_session* session, const char* name, int32_t dtype,
                                       void* data, uint64_t count);

/* ---- saving */

typedef enum ckpt_step_outcome {
  CKPT_STEP_CONTINUE = 0,
  CKPT_STEP_SAVED = 1, /* and continue */
  CKPT_STEP_STOP = 2   /* a stop signal came: leave the loop and finish */
} ckpt_step_outcome;

/* `step` steps are complete and what is protected is consistent: saves when that is due or asked
 * for. Returns when what changed is captured (copied aside). *outcome is set whatever is returned;
 * an error may be one of an earlier save, from behind. The same step twice does nothing. */
CKPT_API ckpt_code ckpt_session_step(ckpt_session* session, int64_t step, int32_t* outcome);

/* The primitive beneath: a save, at once, of exactly what is put. Memory may be reused when
 * ckpt_session_put returns. When ckpt_session_end answers an error and not CKPT_STEP_SAVED, the
 * save was not made: what was put is gone, and the same step may be begun and put again. */
CKPT_API ckpt_code ckpt_session_begin(ckpt_session* session, int64_t step);
CKPT_API ckpt_code ckpt_session_put(ckpt_session* session, const char* name, const void* data,
                                    int32_t dtype, uint32_t element_bytes, uint32_t dimensions,
                                    const uint64_t* shape);
CKPT_API ckpt_code ckpt_session_end(ckpt_session* session, int32_t* outcome);
CKPT_API ckpt_code ckpt_session_abort(ckpt_session* session);

/* Memory that the kernel does not see written (by a device: RDMA, a GPU, io_uring's registered
 * buffers) was, or will be before the next save: it is hashed then. Say it before each save. Needed
 * with CKPT_DETECT_KERNEL and CKPT_DETECT_AUTO only. */
CKPT_API ckpt_code ckpt_session_written(ckpt_session* session, const void* data, uint64_t bytes);

/* Waits until everything captured is staged (survives the process); durable (survives the node). */
CKPT_API ckpt_code ckpt_session_wait_staged(ckpt_session* session);
CKPT_API ckpt_code ckpt_session_commit(ckpt_session* session);

typedef struct ckpt_session_report {
  size_t struct_size;
  int64_t step;     /* of the newest save; -1: none. The seven that follow are its */
  double blocked_s; /* the application waited */
  double waited_s;  /* ... of it for room in the buffer, and for what the grace allows */
  double staged_s;  /* from the call until staged; -1: not yet */
  double durable_s; /* from the call until durable; -1: not yet */
  uint64_t logical_bytes;
  uint64_t changed_bytes;
  uint64_t stored_bytes;
  uint64_t saves; /* of the session, from here on */
  uint64_t failed_saves;
  double blocked_total_s;
  double waited_total_s;
  uint64_t changed_total_bytes;
  uint64_t stored_total_bytes;
  int64_t staged_step;      /* the newest; -1: none */
  int64_t durable_step;     /* the newest; -1: none */
  uint64_t undurable_bytes; /* captured, and not durable yet */
  uint64_t buffer_bytes;
  int32_t stop_signal;       /* that came; 0: none */
  double stop_to_durable_s;  /* until all that was captured was durable; -1: not yet */
  int32_t handlers_replaced; /* somebody installed other signal handlers */
  uint64_t removed;          /* checkpoints, by retention */
  uint64_t freed_bytes;
  double interval_s; /* between saves, as chosen now; 0: by steps alone */
  /* With CKPT_DETECT_KERNEL and CKPT_DETECT_AUTO, of the newest save: */
  uint64_t vouched_bytes; /* of logical_bytes: not read, as the kernel saw nobody write to them */
  double first_write_s;   /* what its looking cost the application before, as measured elsewhere */
  uint64_t missed_bytes;  /* of the session: what changed unseen, as audits found. Should be 0 */
} ckpt_session_report;
#define CKPT_SESSION_REPORT_INIT                                                                   \
  {                                                                                                \
    sizeof(ckpt_session_report), -1, 0, 0, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1, 0, 0, 0, -1, \
        0, 0, 0, 0, 0, 0, 0                                                                        \
  }
CKPT_API ckpt_code ckpt_session_get_report(ckpt_session* session, ckpt_session_report* report);

/* Commits what was captured, gives the series and the signals back, and frees the session. Answers
 * the exit status for main: 0 when `complete`; else 128 + the signal that stopped it, or 75. By
 * CKPT_ON_STOP_SIGNAL, not complete and stopped by a signal, it does not return: the process ends
 * by that signal, as it would have without the session, unless there are several ranks, a handler
 * was installed before (which was called by then), or another session of the process goes on: then
 * the last one's ends it. stdio's streams are flushed before (fflush(NULL)); destructors and atexit
 * functions are not called, and what else holds output back (C++ file streams, Fortran units) is
 * the code's to flush. From another thread, and in a forked child, it answers -1, does nothing, and
 * frees nothing. */
CKPT_API int32_t ckpt_session_finish(ckpt_session* session, int32_t complete);
/* The same without ending the process or an answer, for error paths. NULL is allowed. */
CKPT_API void ckpt_session_close(ckpt_session* session);

/* ---- keeping house ------------------------------------------------------------------------- */

typedef struct ckpt_stats {
  size_t struct_size;
  uint64_t series;
  uint64_t checkpoints;
  uint64_t logical_bytes; /* of all checkpoints, as if each were a full copy */
  uint64_t unique_bytes;  /* raw bytes of the distinct chunks they need */
  uint64_t stored_bytes;  /* what the packs take on disk */
  uint64_t chunks;        /* distinct, live */
  uint64_t packs;
  uint64_t garbage_bytes; /* of stored_bytes: what gc could return, roughly */
  uint64_t index_bytes;
  double dedup_ratio;       /* logical / unique */
  double compression_ratio; /* unique / their stored bytes */
  double total_ratio;       /* logical / stored */
  uint64_t reserve_bytes;   /* of stored_bytes: kept for rm and gc on a full disk */
} ckpt_stats;
#define CKPT_STATS_INIT \
  { sizeof(ckpt_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0 }
CKPT_API ckpt_code ckpt_get_stats(ckpt_store* store, ckpt_stats* stats);

/* Drops checkpoints durably; their space comes back with ckpt_collect. All or none. The newest
 * sound one of a series only with `force` (else CKPT_INVALID_ARGUMENT). `removed` (may be NULL) is
 * told each. */
CKPT_API ckpt_code ckpt_remove(ckpt_store* store, const char* const* checkpoints, size_t count,
                               int32_t force, ckpt_checkpoint_fn removed, void* user);

typedef struct ckpt_collect_options {
  size_t struct_size;
  const char* series; /* retention of this series only; NULL: all */
  uint64_t keep_last; /* 0: no such rule. A checkpoint that any rule keeps is kept; without */
  int64_t keep_every; /* rules none is dropped. keep_every: steps that are multiples. */
  int64_t keep_within_ns;
  int32_t dry_run;
  int64_t wait_ms;             /* for another collector, and for running writers to agree */
  double live_share;           /* packs with a smaller share of live bytes are rewritten; 0: 0.75 */
  const char* break_host_name; /* writers on this host are dead: a person's word for it; or NULL */
} ckpt_collect_options;
#define CKPT_COLLECT_OPTIONS_INIT \
  { sizeof(ckpt_collect_options), NULL, 0, 0, 0, 0, 10000, 0.0, NULL }
typedef struct ckpt_collect_result {
  size_t struct_size;
  uint64_t removed;         /* checkpoints */
  uint64_t freed_bytes;     /* what the store shrank by (would shrink by) */
  uint64_t rewritten_bytes; /* copied to new packs */
  uint64_t packs_removed;
  uint64_t packs_waiting; /* condemned, but a running writer has not agreed yet: run again */
  double seconds;
} ckpt_collect_result;
#define CKPT_COLLECT_RESULT_INIT \
  { sizeof(ckpt_collect_result), 0, 0, 0, 0, 0, 0.0 }
/* Retention, then collection. Never drops the newest sound checkpoint of a series. Works on a full
 * disk. CKPT_BUSY: another collector or a freeze. */
CKPT_API ckpt_code ckpt_collect(ckpt_store* store, const ckpt_collect_options* options,
                                ckpt_checkpoint_fn removed, void* user,
                                ckpt_collect_result* result);

/* Holds collection off until ckpt_thaw, so that rsync or tar see a steady store. */
typedef struct ckpt_freeze ckpt_freeze;
CKPT_API ckpt_code ckpt_freeze_begin(ckpt_store* store, int64_t wait_ms, ckpt_freeze** freeze);
CKPT_API void ckpt_thaw(ckpt_freeze* freeze);

/* Takes a series for a program that is run: a second claim is CKPT_BUSY after wait_ms (-1: never).
 * Saves are not hindered. The claim outlives the store's handle and ends with the process at the
 * latest; a forked child does not have it. */
typedef struct ckpt_claim ckpt_claim;
CKPT_API ckpt_code ckpt_claim_series(ckpt_store* store, const char* series, int64_t wait_ms,
                                     ckpt_claim** claim);
CKPT_API void ckpt_claim_release(ckpt_claim* claim); /* NULL is allowed */

/* Who is at work on a series, told by locks. */
typedef struct ckpt_runner {
  size_t struct_size;
  int32_t claimed;     /* a program is run under a claim */
  int64_t claimed_pid; /* of the process that holds it; 0: not one of this host that we may see */
  int32_t writing;     /* a session, or a save, of this rank */
  int64_t writing_pid; /* likewise */
} ckpt_runner;
#define CKPT_RUNNER_INIT \
  { sizeof(ckpt_runner), 0, 0, 0, 0 }
CKPT_API ckpt_code ckpt_get_runner(ckpt_store* store, const char* series, uint32_t rank,
                                   ckpt_runner* runner);

typedef struct ckpt_check_options {
  size_t struct_size;
  int32_t quick;       /* structure only: packs, directories, manifests and nodes */
  double part_percent; /* of the packs' payload bytes, chosen at random; 0 or 100: all */
  /* What is found is recorded in a store opened for writing: damaged places, so that nothing new
   * relies on them and the next save stores their bytes anew, and places that read true again. In
   * one opened for reading only with `record`: it is then opened once more, for writing, when there
   * is something to record. Where that is not possible, a notice says why. */
  int32_t record;
} ckpt_check_options;
#define CKPT_CHECK_OPTIONS_INIT \
  { sizeof(ckpt_check_options), 0, 100.0, 0 }
typedef struct ckpt_damage {
  const char* pack; /* file name, relative to the store; "" when a whole pack is missing */
  uint64_t offset;
  const char* what;               /* one line */
  const char* const* checkpoints; /* names of those it hurts, "SERIES@ATTEMPT:STEP" */
  size_t checkpoint_count;
} ckpt_damage;
typedef struct ckpt_check_result {
  size_t struct_size;
  uint64_t packs;
  uint64_t checkpoints;
  uint64_t chunks;
  uint64_t verified_bytes;
  uint64_t damaged;
  double seconds;
  uint64_t recorded; /* places recorded by this check, as damaged or as true again */
} ckpt_check_result;
#define CKPT_CHECK_RESULT_INIT \
  { sizeof(ckpt_check_result), 0, 0, 0, 0, 0, 0.0, 0 }
/* CKPT_OK also when there is damage: look at result->damaged. `newest_sound` (may be NULL) is told
 * one checkpoint for each series that has one. */
CKPT_API ckpt_code ckpt_check(ckpt_store* store, const ckpt_check_options* options,
                              int (*damage)(const ckpt_damage* damage, void* user),
                              ckpt_checkpoint_fn newest_sound, void* user,
                              ckpt_check_result* result);

/* Repair: packs in which something is damaged are set aside into the store's folder "quarantine",
 * never deleted; what is sound in them is copied first. */
typedef struct ckpt_repair_options {
  size_t struct_size;
  int32_t dry_run; /* says what would be done; takes no lock, writes nothing */
  int64_t wait_ms; /* for another collector, and for writers to acknowledge; -1: for ever */
  const char* break_host_name; /* your word for it: no writer on that host is alive; or NULL */
} ckpt_repair_options;
#define CKPT_REPAIR_OPTIONS_INIT \
  { sizeof(ckpt_repair_options), 0, 10000, NULL }
typedef struct ckpt_set_aside {
  const char* pack;     /* as it was, relative to the store: "packs/..." */
  const char* moved_to; /* "quarantine/..."; "" in a dry run, and when the pack was gone before */
  uint64_t bytes;
  uint64_t kept_chunks; /* copied, as is what follows; 0 in a dry run */
  uint64_t kept_records;
  uint64_t lost_chunks; /* no copy of which is sound */
} ckpt_set_aside;
typedef struct ckpt_lost {
  const char* checkpoint;     /* "SERIES@ATTEMPT:STEP" */
  int32_t all;                /* nothing of it can be restored */
  int32_t rest;               /* nothing that comes after `entries` in its table */
  const char* const* entries; /* names of those that cannot be restored */
  size_t entry_count;
} ckpt_lost;
/* What is told, each may be NULL; an answer other than 0 ends the call with CKPT_CANCELLED. */
typedef struct ckpt_repair_callbacks {
  size_t struct_size;
  int (*damage)(const ckpt_damage* damage, void* user); /* as found, before anything was done */
  int (*set_aside)(const ckpt_set_aside* pack, void* user);
  int (*lost)(const ckpt_lost* lost, void* user);
  ckpt_checkpoint_fn newest_sound;
  void* user;
} ckpt_repair_callbacks;
#define CKPT_REPAIR_CALLBACKS_INIT \
  { sizeof(ckpt_repair_callbacks), NULL, NULL, NULL, NULL, NULL }
typedef struct ckpt_repair_result {
  size_t struct_size;
  uint64_t damaged;         /* places found */
  uint64_t packs_set_aside; /* in a dry run: that would be */
  uint64_t packs_gone;      /* that are not there, and were not collected */
  uint64_t lost;            /* checkpoints that cannot be restored, or not wholly */
  uint64_t unnamed;         /* manifests that cannot be read, of checkpoints nobody can name */
  uint64_t kept_chunks;
  uint64_t lost_chunks;
  double seconds;
} ckpt_repair_result;
#define CKPT_REPAIR_RESULT_INIT \
  { sizeof(ckpt_repair_result), 0, 0, 0, 0, 0, 0, 0, 0.0 }
/* The store is opened for writing, or in a dry run for reading. CKPT_BUSY: another collector, or a
 * live writer that is in the way; nothing was changed. Killed at any moment: call it again. */
CKPT_API ckpt_code ckpt_repair(ckpt_store* store, const ckpt_repair_options* options,
                               const ckpt_repair_callbacks* callbacks, ckpt_repair_result* result);

typedef struct ckpt_reindex_result {
  size_t struct_size;
  uint64_t packs;
  uint64_t chunks;
  uint64_t checkpoints;
  uint64_t index_bytes;
  double seconds;
} ckpt_reindex_result;
#define CKPT_REINDEX_RESULT_INIT \
  { sizeof(ckpt_reindex_result), 0, 0, 0, 0, 0.0 }
CKPT_API ckpt_code ckpt_reindex(ckpt_store* store, ckpt_reindex_result* result);

typedef struct ckpt_analysis {
  const char* chunker; /* "fixed", "content-defined" */
  uint32_t chunk_bytes;
  uint64_t unique_bytes;
  uint64_t stored_bytes; /* after compression, headers included */
  uint64_t chunks;
  double dedup_ratio;
  double total_ratio;
} ckpt_analysis;
typedef struct ckpt_analyze_result {
  size_t struct_size;
  uint64_t files;
  uint64_t logical_bytes;
} ckpt_analyze_result;
#define CKPT_ANALYZE_RESULT_INIT \
  { sizeof(ckpt_analyze_result), 0, 0 }
/* What a ckpt_effort would give and cost, by a sample of at most about 64 MiB. */
typedef struct ckpt_effort_estimate {
  int32_t effort; /* ckpt_effort */
  int32_t level;  /* zstd's */
  uint64_t sampled_bytes;
  uint64_t stored_bytes; /* of everything, headers included */
  /* Of raw bytes, in a second of one thread's processor time. 0: nothing was sampled. */
  double encode_bytes_per_second;
  double decode_bytes_per_second;
} ckpt_effort_estimate;
typedef int (*ckpt_effort_fn)(const ckpt_effort_estimate* estimate, void* user);
/* What a store would do to these files, in this order. Needs no store, writes nothing. */
CKPT_API ckpt_code ckpt_analyze(const char* const* paths, size_t path_count, int32_t level,
                                ckpt_progress_fn progress,
                                int (*fn)(const ckpt_analysis* analysis, void* user), void* user,
                                ckpt_analyze_result* result);
/* The same; `effort_fn` is told of each effort, at a store's own chunks. Differences from a
 * checkpoint before are not counted. */
CKPT_API ckpt_code ckpt_analyze_efforts(const char* const* paths, size_t path_count, int32_t level,
                                        ckpt_progress_fn progress,
                                        int (*fn)(const ckpt_analysis* analysis, void* user),
                                        ckpt_effort_fn effort_fn, void* user,
                                        ckpt_analyze_result* result);
/* The same of a checkpoint that is there: what its distinct chunks would take, each difference
 * still from its base. Reads the sampled chunks. CKPT_CORRUPTION: one of them cannot be read. */
CKPT_API ckpt_code ckpt_estimate_efforts(ckpt_store* store, const char* checkpoint,
                                         ckpt_effort_fn fn, void* user);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* CKPT_CKPT_H_ */
