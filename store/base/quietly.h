// Quietly(work): for destructors, and for whatever else must end without an exception. What is done
// there is best effort: where memory runs out in the middle, the rest of it is left undone.
// Thread rule: none.

#ifndef CKPT_STORE_BASE_QUIETLY_H_
#define CKPT_STORE_BASE_QUIETLY_H_

#include <new>

namespace ckpt {

template <typename Work>
void Quietly(const Work& work) noexcept {
  try {
    work();
  } catch (const std::bad_alloc&) {  // the caller says what then
  }
}

}  // namespace ckpt

#endif  // CKPT_STORE_BASE_QUIETLY_H_
