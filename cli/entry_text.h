// An entry of a checkpoint, for people, for JSON and for numpy.
// Thread rule: pure functions.

#ifndef CKPT_CLI_ENTRY_TEXT_H_
#define CKPT_CLI_ENTRY_TEXT_H_

#include <optional>
#include <string>

#include "ckpt/ckpt.h"
#include "cli/json.h"

namespace ckpt {

const char* KindName(std::int32_t kind);         // "file", "array", ...; "unknown"
std::string EntryType(const ckpt_entry& entry);  // "file 0644", "float64[64,64]", "symlink"
Json EntryJson(const ckpt_entry& entry);         // keys: docs/cli.md, inspect

// The header of a .npy file (format 1.0, 2.0 where 64 KiB do not suffice) for an array entry, whose
// bytes follow as they are. Types that numpy does not have come as raw bytes ("|V2"), which numpy
// loads and .view() turns into what the reader knows. Nothing for an unknown type.
// Source: numpy/lib/format.py, "Format Version 1.0", "Format Version 2.0".
std::optional<std::string> NpyHeader(const ckpt_entry& entry);

}  // namespace ckpt

#endif  // CKPT_CLI_ENTRY_TEXT_H_
