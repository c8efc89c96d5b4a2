// Writers that die or stop at the worst moment, for real: a process, and SIGKILL between staging a
// checkpoint and its sync mark, or SIGSTOP in the middle of telling the index.
//
// Linking this replaces fdatasync in the test program (by one that flushes, too).
// Thread rule: the calling process has one thread.

#ifndef CKPT_TESTS_SUPPORT_DEAD_WRITER_H_
#define CKPT_TESTS_SUPPORT_DEAD_WRITER_H_

#include <sys/types.h>

#include <functional>

namespace ckpt {

// Runs `save` in a child that dies when it is about to flush a file of more than 100 KiB: the pack,
// everything staged. False, with a test failure, when it ended in another way.
bool DiesBeforeItsMark(const std::function<void()>& save);

// Runs `save` in a child that stops when LMDB flushes: it holds LMDB's writer lock and all of ours
// for publishing, until the end of this object, which kills it. The constructor returns when it has
// stopped.
class StoppedInTheIndex {
 public:
  explicit StoppedInTheIndex(const std::function<void()>& save);
  ~StoppedInTheIndex();
  StoppedInTheIndex(const StoppedInTheIndex&) = delete;
  StoppedInTheIndex& operator=(const StoppedInTheIndex&) = delete;

  bool stopped() const { return stopped_; }

 private:
  pid_t child_;
  bool stopped_ = false;
};

}  // namespace ckpt

#endif  // CKPT_TESTS_SUPPORT_DEAD_WRITER_H_
