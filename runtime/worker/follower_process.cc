#include "runtime/worker/follower_process.h"

#include <glog/logging.h>
#include <prometheus/registry.h>

#include <atomic>
#include <iostream>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "runtime/base/monotonic_clock.h"
#include "runtime/base/status_macros.h"
#include "runtime/group/group_model.h"
#include "runtime/serving/log_line.h"
#include "runtime/serving/port_file.h"
#include "runtime/serving/process.h"
#include "runtime/worker/group_join.h"
#include "runtime/worker/group_metrics.h"
#include "runtime/worker/rank_host.h"
#include "runtime/worker/worker_ports.h"

namespace blockserve {
namespace {

class FollowerProcess {
 public:
  FollowerProcess(const WorkerOptions& options, const std::string& model_name)
      : options_(options),
        rank_(options.group->control.rank),
        metrics_(registry_, model_name, rank_,
                 options.group->control.world_size) {}

  absl::Status Run() {
    RETURN_IF_ERROR(Listen());
    ASSIGN_OR_RETURN(host_, RankHost::Create(options_.host, options_.group));
    group_rank_ = host_->rank();
    while (true) {
      ASSIGN_OR_RETURN(const bool joined, JoinUntilSignal(*host_));
      if (!joined) return absl::OkStatus();
      AnnounceEpoch();
      ports_.grpc->SetReady(true);
      const absl::Status ended = StepUntilBroken();
      ports_.grpc->SetReady(false);
      if (is_draining_) return absl::OkStatus();
      LOG(WARNING) << LogLine("group_broken", {{"rank", rank_},
                                               {"epoch", host_->epoch()},
                                               {"why", ended.message()}});
      if (!IsTransient(ended)) return ended;
      if (options_.exit_on_group_failure) {
        return absl::AbortedError(
            absl::StrCat("the group is broken: ", ended.message()));
      }
    }
  }

 private:
  absl::Status Listen() {
    ASSIGN_OR_RETURN(ports_,
                     WorkerPorts::Listen(options_.ports, {}, registry_, [this] {
                       if (GroupRank* rank = group_rank_.load()) {
                         metrics_.SetGroup(rank->endpoint().snapshot());
                       }
                     }));
    if (options_.port_file.empty()) return absl::OkStatus();
    return WritePortFile(options_.port_file,
                         {{"port", ports_.grpc->port()},
                          {"metrics_port", ports_.metrics->port()}});
  }

  void AnnounceEpoch() {
    if (!is_announced_) {
      std::cout << host_->model().report().ToText() << std::endl;
      is_announced_ = true;
    }
    LOG(INFO) << LogLine("ready",
                         {{"worker_id", ports_.worker_id},
                          {"rank", rank_},
                          {"epoch", host_->epoch()},
                          {"collectives", host_->rank()->collectives()}});
  }

  // Why the epoch ended.
  absl::Status StepUntilBroken() {
    absl::Status ended;
    absl::Notification done;
    std::thread stepper([&] {
      ended =
          RunPlans(host_->model().model(), *host_->rank(),
                   [this](const StepTimes& times) { metrics_.OnStep(times); });
      done.Notify();
    });
    absl::Time drain_deadline = absl::InfiniteFuture();
    while (!done.WaitForNotificationWithTimeout(kPollInterval)) {
      if (!is_draining_ && WaitForShutdownSignal(absl::ZeroDuration())) {
        // The leader's requests need this rank until the leader has drained.
        is_draining_ = true;
        drain_deadline = MonotonicNow() + options_.drain_timeout;
        ports_.grpc->SetReady(false);
        LOG(INFO) << LogLine("draining", {{"rank", rank_}});
      }
      if (MonotonicNow() > drain_deadline) host_->Stop();
    }
    stepper.join();
    return ended;
  }

  const WorkerOptions& options_;
  const int rank_;
  const std::shared_ptr<prometheus::Registry> registry_ =
      std::make_shared<prometheus::Registry>();
  GroupMetrics metrics_;
  std::unique_ptr<RankHost> host_;
  std::atomic<GroupRank*> group_rank_ = nullptr;
  WorkerPorts ports_;  // its scrapes read the above
  bool is_announced_ = false;
  bool is_draining_ = false;
};

}  // namespace

absl::Status RunFollower(const WorkerOptions& options,
                         const std::string& model_name) {
  return FollowerProcess(options, model_name).Run();
}

}  // namespace blockserve
