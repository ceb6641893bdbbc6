// The series of a rank of a group (names: serving conventions).
#ifndef BLOCKSERVE_RUNTIME_WORKER_GROUP_METRICS_H_
#define BLOCKSERVE_RUNTIME_WORKER_GROUP_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "parallel/api/communicator.h"
#include "parallel/control/group_types.h"
#include "runtime/group/group_rank.h"

namespace blockserve {

// Thread-safe. The gauges are as of the last SetGroup, which is to be called
// before each scrape. The leader tells of all ranks, the others of themselves.
class GroupMetrics {
 public:
  GroupMetrics(std::shared_ptr<prometheus::Registry> registry,
               const std::string& model_name, int rank, int world_size);

  // Of one step of this rank. Of an op's calls in a step the mean time counts,
  // once.
  void OnStep(const StepTimes& times);
  void SetGroup(const GroupSnapshot& group);

 private:
  const std::shared_ptr<prometheus::Registry> registry_;
  const prometheus::Labels labels_;  // of every series

  prometheus::Histogram& step_;
  std::array<prometheus::Histogram*, kNumCollectiveOps> collective_time_;
  std::array<prometheus::Counter*, kNumCollectiveOps> collective_bytes_;
  prometheus::Gauge& epoch_;
  prometheus::Gauge& straggler_;
  prometheus::Counter& rebuilds_;
  prometheus::Family<prometheus::Counter>& refusals_;
  std::vector<prometheus::Gauge*> up_;
  std::vector<prometheus::Gauge*> last_step_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_GROUP_METRICS_H_
