#include "cli/damage_text.h"

#include <string_view>

#include "cli/text.h"

namespace ckpt {

void SetNames(Json& json, const std::string& key, const char* const* names, std::size_t count) {
  Json shown = Json::array();
  Json exact = Json::array();
  bool all_utf8 = true;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view name = names[i];
    shown.push_back(ReplaceInvalidUtf8(name));
    exact.push_back(Base64(name));
    all_utf8 = all_utf8 && IsUtf8(name);
  }
  json[key] = shown;
  if (!all_utf8) json[key + "_base64"] = exact;
}

Json DamageJson(const ckpt_damage& damage) {
  Json json = Json::object();
  json["pack"] = damage.pack;
  json["offset"] = damage.offset;
  SetText(json, "what", damage.what);
  SetNames(json, "checkpoints", damage.checkpoints, damage.checkpoint_count);
  return json;
}

std::string DamageText(const ckpt_damage& damage) {
  std::string text = "damaged: ";
  if (*damage.pack != '\0') {
    text += PrintableName(damage.pack) + " at " + std::to_string(damage.offset) + ": ";
  }
  text += PrintableMessage(damage.what) + "\n";
  for (std::size_t i = 0; i < damage.checkpoint_count; ++i) {
    text += "  hurts " + PrintableName(damage.checkpoints[i]) + "\n";
  }
  // Of other records it cannot be told what they would have been needed for.
  if (damage.checkpoint_count == 0 && std::string_view(damage.what).starts_with("chunk:")) {
    text += "  hurts no checkpoint: its bytes are stored once more elsewhere, or not needed\n";
  }
  return text;
}

}  // namespace ckpt
