// The checkpoints that rm and gc dropped, gathered for the end: as text and as JSON.
// Thread rule: one thread.

#ifndef CKPT_CLI_REMOVED_LIST_H_
#define CKPT_CLI_REMOVED_LIST_H_

#include <cstdint>
#include <string>

#include "ckpt/ckpt.h"
#include "cli/json.h"
#include "cli/text.h"

namespace ckpt {

class RemovedList {
 public:
  // A ckpt_checkpoint_fn; `user` is the list. Never stops: what is told here has been done.
  static int Add(const ckpt_checkpoint* checkpoint, void* user) {
    auto* self = static_cast<RemovedList*>(user);
    const std::string name = FullName(*checkpoint);
    Json json = Json::object();
    SetText(json, "series", checkpoint->series);
    json["attempt"] = checkpoint->attempt;
    json["step"] = checkpoint->step;
    json["rank"] = checkpoint->rank;
    json["logical_bytes"] = checkpoint->logical_bytes;
    self->elements_.Add(json);
    self->text_ += PrintableName(name) + "\n";
    ++self->count_;
    return 0;
  }

  std::uint64_t count() const { return count_; }
  // "removed melt@1:5000", one a line.
  std::string Lines(const std::string& verb) const {
    std::string out;
    for (std::size_t at = 0; at < text_.size();) {
      const std::size_t end = text_.find('\n', at) + 1;
      out += verb + " " + text_.substr(at, end - at);
      at = end;
    }
    return out;
  }
  // `object` with the list as "removed".
  std::string DocumentIn(const Json& object) const {
    return elements_.DocumentIn(object, "removed");
  }

 private:
  JsonList elements_;
  std::string text_;
  std::uint64_t count_ = 0;
};

}  // namespace ckpt

#endif  // CKPT_CLI_REMOVED_LIST_H_
