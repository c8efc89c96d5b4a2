// What the files of the sessions' C interface share. Thread rule: see ckpt.h.

#ifndef CKPT_STORE_API_C_SESSION_H_
#define CKPT_STORE_API_C_SESSION_H_

#include <memory>
#include <vector>

#include "ckpt/ckpt.h"
#include "store/session/session.h"

struct ckpt_session {
  std::unique_ptr<ckpt::Session> session;
  ckpt::Entry entry;  // of the last ckpt_session_query
  ckpt::RestoreResult restored;
  std::vector<const char*> texts[3];
};

namespace ckpt::c_api {

// Of the caller's arguments, and the bytes of such an array.
Result<ArrayShape> ToShape(std::int32_t dtype, std::uint32_t element_bytes, bool column_major,
                           std::uint32_t dimensions, const std::uint64_t* shape,
                           std::uint64_t* bytes);
Result<ArrayView> ToView(const void* data, const ArrayShape& shape, std::uint64_t bytes);

}  // namespace ckpt::c_api

#endif  // CKPT_STORE_API_C_SESSION_H_
