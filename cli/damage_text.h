// Damage as `check` and `repair` show it. Thread rule: pure functions.

#ifndef CKPT_CLI_DAMAGE_TEXT_H_
#define CKPT_CLI_DAMAGE_TEXT_H_

#include <string>

#include "ckpt/ckpt.h"
#include "cli/json.h"

namespace ckpt {

Json DamageJson(const ckpt_damage& damage);
// Ends with a newline.
std::string DamageText(const ckpt_damage& damage);
// Names that may have any bytes: "KEY", and "KEY_base64" where it is needed (docs/cli.md).
void SetNames(Json& json, const std::string& key, const char* const* names, std::size_t count);

}  // namespace ckpt

#endif  // CKPT_CLI_DAMAGE_TEXT_H_
