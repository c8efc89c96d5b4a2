// What people see of efforts: the option, and the table of what each gives and costs.
// Thread rule: one thread.

#ifndef CKPT_CLI_EFFORT_TABLE_H_
#define CKPT_CLI_EFFORT_TABLE_H_

#include <cstdint>
#include <string>

#include "ckpt/ckpt.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/text.h"

namespace ckpt {

// --effort fast|balanced|small; *effort stays CKPT_EFFORT_DEFAULT without it.
CLI::Option* AddEffort(CLI::App& app, std::int32_t* effort, const std::string& help);

class EffortTable {
 public:
  // `logical_bytes`: of everything that is estimated.
  void Add(const ckpt_effort_estimate& estimate, std::uint64_t logical_bytes);
  const Json& json() const { return json_; }
  std::string Text() const { return table_.Text(); }

 private:
  Json json_ = Json::array();
  Table table_{{{"EFFORT"},
                {"LEVEL", Table::Align::kRight},
                {"STORED", Table::Align::kRight},
                {"TOTAL", Table::Align::kRight},
                {"SAVE", Table::Align::kRight},
                {"RESTORE", Table::Align::kRight}}};
};

}  // namespace ckpt

#endif  // CKPT_CLI_EFFORT_TABLE_H_
