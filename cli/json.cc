#include "cli/json.h"

#include <unistd.h>

#include "cli/text.h"

namespace ckpt {
namespace {

std::string Dump(const Json& json) {
  static const bool ascii_only = isatty(STDOUT_FILENO) == 1 || isatty(STDERR_FILENO) == 1;
  return json.dump(-1, ' ', ascii_only, Json::error_handler_t::replace);
}

// "{\n  "a": 1,\n  "b": 2" without the closing brace.
std::string OpenObject(const Json& object) {
  std::string out = "{";
  for (const auto& [key, value] : object.items()) {
    out += (out.size() > 1 ? ",\n  " : "\n  ") + Dump(key) + ": " + Dump(value);
  }
  return out;
}

Json TagsJson(const ckpt_checkpoint& checkpoint) {
  Json tags = Json::object();
  for (std::size_t i = 0; i < checkpoint.tag_count; ++i) {
    tags[ReplaceInvalidUtf8(checkpoint.tags[i].key)] = ReplaceInvalidUtf8(checkpoint.tags[i].value);
  }
  return tags;
}

bool TagsAreUtf8(const ckpt_checkpoint& checkpoint) {
  for (std::size_t i = 0; i < checkpoint.tag_count; ++i) {
    if (!IsUtf8(checkpoint.tags[i].key) || !IsUtf8(checkpoint.tags[i].value)) return false;
  }
  return true;
}

// Pairs, because two keys may look alike once their odd bytes are replaced.
Json TagsBase64(const ckpt_checkpoint& checkpoint) {
  Json pairs = Json::array();
  for (std::size_t i = 0; i < checkpoint.tag_count; ++i) {
    pairs.push_back({Base64(checkpoint.tags[i].key), Base64(checkpoint.tags[i].value)});
  }
  return pairs;
}

}  // namespace

void SetText(Json& object, const std::string& key, std::string_view bytes) {
  object[key] = ReplaceInvalidUtf8(bytes);
  if (!IsUtf8(bytes)) object[key + "_base64"] = Base64(bytes);
}

std::string JsonLine(const Json& json) { return Dump(json) + "\n"; }

std::string JsonDocument(const Json& object) { return OpenObject(object) + "\n}\n"; }

void JsonList::Add(const Json& element) {
  if (!text_.empty()) text_ += ",\n";
  text_ += "    " + Dump(element);
}

std::string JsonList::Document() const { return text_.empty() ? "[]\n" : "[\n" + text_ + "\n]\n"; }

std::string JsonList::DocumentIn(const Json& object, const std::string& key) const {
  std::string out = OpenObject(object);
  out += (object.empty() ? "\n  " : ",\n  ") + Dump(key) + ": [";
  if (!text_.empty()) out += "\n" + text_ + "\n  ";
  return out + "]\n}\n";
}

Json CheckpointJson(const ckpt_checkpoint& checkpoint) {
  Json json = Json::object();
  SetText(json, "series", checkpoint.series);
  json["attempt"] = checkpoint.attempt;
  json["attempt_id"] = checkpoint.attempt_id;
  json["step"] = checkpoint.step;
  json["parent"] = nullptr;
  if (checkpoint.has_parent != 0) {
    json["parent"] = {{"attempt", checkpoint.parent_attempt}, {"step", checkpoint.parent_step}};
  }
  json["rank"] = checkpoint.rank;
  json["ranks"] = checkpoint.ranks;
  json["created"] = UtcTime(checkpoint.created_ns);
  json["created_ns"] = checkpoint.created_ns;
  json["state"] = checkpoint.state;
  json["abandoned"] = checkpoint.abandoned != 0;
  json["entries"] = checkpoint.entries;
  json["files"] = checkpoint.files;
  json["logical_bytes"] = checkpoint.logical_bytes;
  json["new_bytes"] = checkpoint.new_bytes;
  json["stored_bytes"] = checkpoint.stored_bytes;
  json["chunks"] = checkpoint.chunks;
  json["new_chunks"] = checkpoint.new_chunks;
  json["tags"] = TagsJson(checkpoint);
  if (!TagsAreUtf8(checkpoint)) json["tags_base64"] = TagsBase64(checkpoint);
  SetText(json, "host", checkpoint.host_name);
  SetText(json, "job", checkpoint.job_id);
  return json;
}

std::string FullName(const ckpt_checkpoint& checkpoint) {
  return std::string(checkpoint.series) + "@" + std::to_string(checkpoint.attempt) + ":" +
         std::to_string(checkpoint.step);
}

}  // namespace ckpt
