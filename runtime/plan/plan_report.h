// A plan as a table and as JSON, with what it assumes.
#ifndef BLOCKSERVE_RUNTIME_PLAN_PLAN_REPORT_H_
#define BLOCKSERVE_RUNTIME_PLAN_PLAN_REPORT_H_

#include <string>

#include "runtime/config/model_config.h"
#include "runtime/plan/serving_plan.h"

namespace blockserve {

std::string PlanToTable(const ServingPlan& plan, const ModelConfig& config,
                        const PlanOptions& options);
// One object, indented. Sizes are in bytes, times in seconds.
std::string PlanToJson(const ServingPlan& plan, const ModelConfig& config,
                       const PlanOptions& options);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_PLAN_PLAN_REPORT_H_
