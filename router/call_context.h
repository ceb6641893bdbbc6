// What every call needs of the router.
#ifndef BLOCKSERVE_ROUTER_CALL_CONTEXT_H_
#define BLOCKSERVE_ROUTER_CALL_CONTEXT_H_

#include "router/admission.h"
#include "router/random_source.h"
#include "router/request_registry.h"
#include "router/resume.h"
#include "router/router_metrics.h"
#include "router/shared_work.h"
#include "router/worker_fleet.h"
#include "runtime/tokenizer/tokenizer.h"

namespace blockserve {

// All but `tokenizer` are set; they outlive all calls.
struct CallContext {
  WorkerFleet* fleet = nullptr;
  Admission* admission = nullptr;
  RequestRegistry* registry = nullptr;
  RouterMetrics* metrics = nullptr;
  RandomSource* random = nullptr;
  SharedWork* shared_work = nullptr;
  const Tokenizer* tokenizer = nullptr;
  ResumeOptions resume;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_CALL_CONTEXT_H_
