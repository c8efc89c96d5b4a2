// Descriptors that hold locks, and what becomes of them in a forked child: a lock belongs to the
// open file, which parent and child share, so a child that lives on would hold its parent's locks
// (I5). In the child each such descriptor is turned to /dev/null before fork returns: its number
// stays taken, and the parent alone decides.
// Thread rule: any thread.

#ifndef CKPT_STORE_IO_FORKED_LOCKS_H_
#define CKPT_STORE_IO_FORKED_LOCKS_H_

namespace ckpt::posix {

void AddLockedDescriptor(int fd);
// Before it is closed or unlocked; does nothing when it was not added.
void RemoveLockedDescriptor(int fd);

}  // namespace ckpt::posix

#endif  // CKPT_STORE_IO_FORKED_LOCKS_H_
