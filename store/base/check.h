// CKPT_CHECK(condition, "why it must hold"): for our own mistakes only, never for what comes from
// disk (that is Corruption) or from a caller (that is InvalidArgument). Aborts, because going on
// with a broken invariant could write a wrong checkpoint.

#ifndef CKPT_STORE_BASE_CHECK_H_
#define CKPT_STORE_BASE_CHECK_H_

namespace ckpt {

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition, const char* why);

}  // namespace ckpt

#define CKPT_CHECK(condition, why) \
  ((condition) ? static_cast<void>(0) : ::ckpt::CheckFailed(__FILE__, __LINE__, #condition, why))

#endif  // CKPT_STORE_BASE_CHECK_H_
