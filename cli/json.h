// The JSON that --json prints: UTF-8, whatever bytes names hold.
//
// A name that is not UTF-8 is shown twice: KEY has U+FFFD for each byte that does not fit, and
// KEY_base64, which is there only then, has the exact bytes. (Lone surrogates, Python's way, are
// refused by strict parsers, which would lose the whole document for one odd name.)
// Long lists are gathered as text, one element a line: a hundred thousand entries as a tree of
// nodes would take several times the memory.
// Thread rule: values, no shared state.

#ifndef CKPT_CLI_JSON_H_
#define CKPT_CLI_JSON_H_

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "ckpt/ckpt.h"

namespace ckpt {

using Json = nlohmann::ordered_json;

// object[key] = text, and object[key + "_base64"] when it is not UTF-8.
void SetText(Json& object, const std::string& key, std::string_view bytes);

// On one line. On a terminal all but ASCII is escaped, for names may hold control characters.
std::string JsonLine(const Json& json);
// An object, one member a line.
std::string JsonDocument(const Json& object);

// A list that grows by its elements' text.
class JsonList {
 public:
  void Add(const Json& element);
  bool empty() const { return text_.empty(); }
  // "[]\n" or one element a line.
  std::string Document() const;
  // `object` with this list as its last member.
  std::string DocumentIn(const Json& object, const std::string& key) const;

 private:
  std::string text_;
};

// The whole of a checkpoint as `list` shows it; see docs/cli.md.
Json CheckpointJson(const ckpt_checkpoint& checkpoint);
// "SERIES@ATTEMPT:STEP", which always names the same checkpoint.
std::string FullName(const ckpt_checkpoint& checkpoint);

}  // namespace ckpt

#endif  // CKPT_CLI_JSON_H_
