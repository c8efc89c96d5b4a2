// Threads of the library's own: all signals blocked from their first instruction, so that none of
// the application's signals is ever delivered to them (I9); on the cores the process had when it
// was loaded, whatever its threads were bound to since.

#ifndef CKPT_STORE_IO_QUIET_THREAD_H_
#define CKPT_STORE_IO_QUIET_THREAD_H_

#include <functional>
#include <thread>
#include <vector>

#include "store/base/status.h"

namespace ckpt {

// Io: the system has no room for a thread.
Result<std::thread> StartQuietThread(std::function<void()> main);

// Another of several that share their work. That there is no room for it is no failure while there
// is one.
Status AddQuietThread(std::vector<std::thread>* threads, std::function<void()> main);

// Calls main(0), main(1) ... main(threads - 1), each once, on the calling thread and others, as far
// as there is room for them: main must share out its work by itself. Comes back when all are done.
// OutOfMemory: some main threw std::bad_alloc.
Status RunOnThreads(std::size_t threads, const std::function<void(std::size_t)>& main);

}  // namespace ckpt

#endif  // CKPT_STORE_IO_QUIET_THREAD_H_
