// ckpt_claim_series, ckpt_claim_release, ckpt_get_runner.

#include "store/api/c_api.h"

struct ckpt_claim {
  std::unique_ptr<ckpt::File> lock;
};

using namespace ckpt;         // NOLINT: glue
using namespace ckpt::c_api;  // NOLINT

ckpt_code ckpt_claim_series(ckpt_store* store, const char* series, int64_t wait_ms,
                            ckpt_claim** claim) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    CKPT_RETURN_IF_ERROR(Need(series, "series"));
    CKPT_RETURN_IF_ERROR(Need(claim, "claim"));
    auto handle = std::make_unique<ckpt_claim>();
    CKPT_ASSIGN_OR_RETURN(handle->lock, store->store->ClaimSeries(series, wait_ms));
    *claim = handle.release();
    return Status();
  });
}

void ckpt_claim_release(ckpt_claim* claim) { delete claim; }

ckpt_code ckpt_get_runner(ckpt_store* store, const char* series, uint32_t rank,
                          ckpt_runner* runner) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    CKPT_RETURN_IF_ERROR(Need(series, "series"));
    CKPT_ASSIGN_OR_RETURN(LockState claim, store->store->LookAtSeriesLock(series, kClaimRank));
    CKPT_ASSIGN_OR_RETURN(LockState writer, store->store->LookAtSeriesLock(series, rank));
    ckpt_runner out = CKPT_RUNNER_INIT;
    out.claimed = claim.held ? 1 : 0;
    out.claimed_pid = claim.pid;
    out.writing = writer.held ? 1 : 0;
    out.writing_pid = writer.pid;
    return WriteResult(out, runner);
  });
}
