// The difference of two entry tables: two cursors in step, each at an entry or at a subtree not yet
// opened. A subtree is opened only when the other side may have something within its names; two
// equal ids are skipped together. It works for tables of different heights and divisions.

#include <algorithm>

#include "store/manifest/tree_cursor.h"

namespace ckpt {
namespace {

class TableDiff {
 public:
  TableDiff(const TreeRef& before, ChunkSource* before_source, const TreeRef& after,
            ChunkSource* after_source, const EntryDiffVisitor& fn)
      : before_(TreeKind::kEntryTable, before, before_source),
        after_(TreeKind::kEntryTable, after, after_source),
        fn_(fn) {}

  Status Run() {
    CKPT_RETURN_IF_ERROR(before_.Start());
    CKPT_RETURN_IF_ERROR(after_.Start());
    while (!before_.AtEnd() && !after_.AtEnd()) CKPT_RETURN_IF_ERROR(Step());
    while (!before_.AtEnd()) CKPT_RETURN_IF_ERROR(OnlyIn(&before_));
    while (!after_.AtEnd()) CKPT_RETURN_IF_ERROR(OnlyIn(&after_));
    return {};
  }

 private:
  static const std::string& FirstName(const TreeCursor& cursor) {
    return cursor.child() != nullptr ? cursor.child()->first_name : cursor.entry().name;
  }

  // The current element's names are not in the other table, or begin before the other's.
  Status OnlyIn(TreeCursor* cursor) {
    if (cursor->child() != nullptr) return cursor->Open();
    const Entry* entry = &cursor->entry();
    CKPT_RETURN_IF_ERROR(cursor == &before_ ? fn_(entry, nullptr) : fn_(nullptr, entry));
    cursor->Skip();
    return {};
  }

  Status Step() {
    int order = FirstName(before_).compare(FirstName(after_));
    if (order < 0) return OnlyIn(&before_);
    if (order > 0) return OnlyIn(&after_);
    if (before_.child() == nullptr && after_.child() == nullptr) return CompareEntries();
    return OpenOrSkip();
  }

  Status OpenOrSkip() {
    const Child* before = before_.child();
    const Child* after = after_.child();
    if (before != nullptr && after != nullptr && before->id == after->id) {
      before_.Skip();
      after_.Skip();
      return {};
    }
    // The higher one, so that both come to the level where their subtrees may be equal.
    bool before_higher = before_.level() >= after_.level();
    return before_higher ? before_.Open() : after_.Open();
  }

  Status CompareEntries() {
    if (!(before_.entry() == after_.entry())) {
      CKPT_RETURN_IF_ERROR(fn_(&before_.entry(), &after_.entry()));
    }
    before_.Skip();
    after_.Skip();
    return {};
  }

  TreeCursor before_;
  TreeCursor after_;
  const EntryDiffVisitor& fn_;
};

}  // namespace

Status DiffEntryTables(const TreeRef& before, ChunkSource* before_source, const TreeRef& after,
                       ChunkSource* after_source, const EntryDiffVisitor& fn) {
  if (before == after) return {};
  return TableDiff(before, before_source, after, after_source, fn).Run();
}

}  // namespace ckpt
