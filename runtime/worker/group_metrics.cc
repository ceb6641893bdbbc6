#include "runtime/worker/group_metrics.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace blockserve {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using Buckets = prometheus::Histogram::BucketBoundaries;

const Buckets& StepBuckets() {
  static const Buckets buckets = {.0001, .0002, .0005, .001, .002, .005, .01,
                                  .02,   .03,   .05,   .075, .1,   .15,  .2,
                                  .3,    .5,    .75,   1,    2.5,  5,    10};
  return buckets;
}

// A small all-reduce between ranks of one host takes some ten microseconds.
const Buckets& CollectiveBuckets() {
  static const Buckets buckets = {.000005, .00001, .00002, .00005, .0001, .0002,
                                  .0005,   .001,   .002,   .005,   .01,   .02,
                                  .05,     .1,     1,      10};
  return buckets;
}

void RaiseTo(int64_t count, prometheus::Counter& counter) {
  const double rise = static_cast<double>(count) - counter.Value();
  if (rise > 0) counter.Increment(rise);
}

}  // namespace

GroupMetrics::GroupMetrics(std::shared_ptr<prometheus::Registry> registry,
                           const std::string& model_name, int rank,
                           int world_size)
    : registry_(std::move(registry)),
      labels_({{"model_name", model_name}}),
      step_(BuildHistogram()
                .Name("blockserve_rank_step_seconds")
                .Help("Time of one step on this rank, collectives included.")
                .Labels(labels_)
                .Register(*registry_)
                .Add({{"rank", absl::StrCat(rank)}}, StepBuckets())),
      epoch_(BuildGauge()
                 .Name("blockserve_group_epoch")
                 .Help("Epoch of the group; 0 while it is not formed.")
                 .Labels(labels_)
                 .Register(*registry_)
                 .Add({})),
      straggler_(BuildGauge()
                     .Name("blockserve_straggler_rank")
                     .Help("The rank that holds up the others, or -1.")
                     .Labels(labels_)
                     .Register(*registry_)
                     .Add({})),
      rebuilds_(BuildCounter()
                    .Name("blockserve_group_rebuilds_total")
                    .Help("Epochs of the group but the first.")
                    .Labels(labels_)
                    .Register(*registry_)
                    .Add({})),
      refusals_(BuildCounter()
                    .Name("blockserve_group_refusals_total")
                    .Help("Peers that the leader did not let in, by reason.")
                    .Labels(labels_)
                    .Register(*registry_)) {
  auto& times = BuildHistogram()
                    .Name("blockserve_collective_seconds")
                    .Help(
                        "Mean time of a step's calls of a collective, "
                        "waiting for other ranks included.")
                    .Labels(labels_)
                    .Register(*registry_);
  auto& bytes = BuildCounter()
                    .Name("blockserve_collective_bytes_total")
                    .Help("Bytes of the tensors given to collectives.")
                    .Labels(labels_)
                    .Register(*registry_);
  for (int op = 0; op < kNumCollectiveOps; ++op) {
    const std::string name(NameOf(static_cast<CollectiveOp>(op)));
    collective_time_[op] = &times.Add({{"op", name}}, CollectiveBuckets());
    collective_bytes_[op] = &bytes.Add({{"op", name}});
  }
  auto& up = BuildGauge()
                 .Name("blockserve_rank_up")
                 .Help("1 if the rank is in the group and heard of in time.")
                 .Labels(labels_)
                 .Register(*registry_);
  auto& last_step = BuildGauge()
                        .Name("blockserve_rank_last_step")
                        .Help("The last step of the epoch that the rank did.")
                        .Labels(labels_)
                        .Register(*registry_);
  const int num_told = rank == 0 ? world_size : 0;
  for (int r = 0; r < num_told; ++r) {
    up_.push_back(&up.Add({{"rank", absl::StrCat(r)}}));
    last_step_.push_back(&last_step.Add({{"rank", absl::StrCat(r)}}));
  }
}

void GroupMetrics::OnStep(const StepTimes& times) {
  step_.Observe(absl::ToDoubleSeconds(times.step));
  for (int op = 0; op < kNumCollectiveOps; ++op) {
    const CollectiveCount& count = times.collectives.ops[op];
    if (count.num_calls == 0) continue;
    collective_time_[op]->Observe(absl::ToDoubleSeconds(count.time) /
                                  static_cast<double>(count.num_calls));
    collective_bytes_[op]->Increment(static_cast<double>(count.num_bytes));
  }
}

void GroupMetrics::SetGroup(const GroupSnapshot& group) {
  epoch_.Set(static_cast<double>(group.epoch));
  straggler_.Set(group.straggler);
  RaiseTo(group.rebuilds, rebuilds_);
  for (const auto& [reason, count] : group.refusals) {
    RaiseTo(count, refusals_.Add({{"reason", reason}}));
  }
  for (size_t r = 0; r < up_.size() && r < group.ranks.size(); ++r) {
    up_[r]->Set(group.ranks[r].up ? 1 : 0);
    last_step_[r]->Set(static_cast<double>(group.ranks[r].last_step));
  }
}

}  // namespace blockserve
