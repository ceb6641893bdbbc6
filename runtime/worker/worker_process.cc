#include "runtime/worker/worker_process.h"

#include <glog/logging.h>
#include <prometheus/registry.h>

#include <atomic>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "runtime/base/monotonic_clock.h"
#include "runtime/base/status_macros.h"
#include "runtime/config/model_config_reader.h"
#include "runtime/group/group_model.h"
#include "runtime/serving/log_line.h"
#include "runtime/serving/port_file.h"
#include "runtime/serving/process.h"
#include "runtime/worker/follower_process.h"
#include "runtime/worker/group_join.h"
#include "runtime/worker/group_metrics.h"
#include "runtime/worker/rank_host.h"
#include "runtime/worker/worker_metrics.h"
#include "runtime/worker/worker_service.h"

namespace blockserve {
namespace {

constexpr char kVersion[] = "0.1.0";
// What streams get to send what is pending when all requests have ended.
constexpr absl::Duration kFlushTimeout = absl::Seconds(2);

std::string RandomInstanceId() {
  std::random_device device;
  return absl::StrFormat("%08x%08x%08x%08x", device(), device(), device(),
                         device());
}

worker::v1::GetIdentityResponse MakeIdentity(const RankHost& host,
                                             const ModelReport& report,
                                             const ModelConfig& config,
                                             const std::string& model_name,
                                             const std::string& worker_id) {
  worker::v1::GetIdentityResponse identity;
  identity.set_worker_id(worker_id);
  identity.set_instance_id(RandomInstanceId());
  identity.set_group_epoch(host.epoch());
  identity.set_model_name(model_name);
  identity.set_family(report.family);
  identity.set_block_length(config.block_length);
  identity.set_vocab_size(config.vocab_size);
  identity.set_context_length(report.max_context);
  identity.set_bos_token_id(static_cast<uint32_t>(config.special.bos));
  identity.set_eos_token_id(static_cast<uint32_t>(config.special.eos));
  identity.set_parameter_count(report.num_parameters);
  identity.set_dtype(report.dtype);
  identity.set_backend(report.backend);
  return identity;
}

StartupFacts MakeStartupFacts(const ModelReport& report,
                              absl::Duration total_time) {
  StartupFacts facts;
  facts.version = kVersion;
  facts.backend = report.backend;
  facts.dtype = report.dtype;
  facts.tokens_per_page = report.tokens_per_page;
  facts.num_pages = report.num_pages;
  facts.weights_bytes = report.weight_bytes;
  facts.load_time = report.load_time;
  facts.total_time = total_time;
  return facts;
}

// Rank 0 of a group, or a rank alone.
class WorkerProcess {
 public:
  WorkerProcess(const WorkerOptions& options, std::string model_name)
      : options_(options),
        model_name_(std::move(model_name)),
        metrics_(registry_, model_name_),
        service_(
            {.drain_timeout = options.drain_timeout,
             .log_requests = options.log_requests,
             .on_ready = [this](bool ready) { ports_.grpc->SetReady(ready); },
             .topology = [this] { return Topology(); }},
            &metrics_) {
    if (options.group.has_value()) {
      group_metrics_ =
          std::make_unique<GroupMetrics>(registry_, model_name_, /*rank=*/0,
                                         options.group->control.world_size);
    }
  }

  absl::Status Run() {
    RETURN_IF_ERROR(Listen());
    LOG(INFO) << LogLine("loading_model", {{"model", options_.host.model}});
    ASSIGN_OR_RETURN(const bool joined, JoinUntilSignal(*host_));
    if (!joined) return absl::OkStatus();
    StartEngine();
    Announce();
    const absl::Status health = Serve();
    Stop();
    return health;
  }

 private:
  absl::Status Listen() {
    ASSIGN_OR_RETURN(ports_,
                     WorkerPorts::Listen(options_.ports, {&service_}, registry_,
                                         [this] { UpdateGauges(); }));
    ASSIGN_OR_RETURN(host_, RankHost::Create(options_.host, options_.group));
    rank_ = host_->rank();
    if (options_.port_file.empty()) return absl::OkStatus();
    std::map<std::string, int> ports = {
        {"port", ports_.grpc->port()},
        {"metrics_port", ports_.metrics->port()}};
    if (host_->rank() != nullptr) {
      ports["group_port"] = host_->rank()->endpoint().port();
    }
    return WritePortFile(options_.port_file, ports);
  }

  void StartEngine() {
    const EngineObserver observer = {
        .on_step = [this](const StepStats& stats) { metrics_.OnStep(stats); },
        .on_done = nullptr};
    ModelHost& host = host_->model();
    auto model = std::make_unique<GroupModel>(host.model(), host_->rank(),
                                              [this](const StepTimes& times) {
                                                if (group_metrics_ != nullptr)
                                                  group_metrics_->OnStep(times);
                                              });
    owned_engine_ =
        Engine::Create(std::move(model), host.engine_options(), observer);
    engine_ = owned_engine_.get();
  }

  void UpdateGauges() {
    // Null until the model is loaded.
    if (Engine* engine = engine_.load()) metrics_.SetLoad(engine->load());
    if (GroupRank* rank = rank_.load()) {
      group_metrics_->SetGroup(rank->endpoint().snapshot());
    }
  }

  WorkerTopology Topology() const {
    GroupRank* const rank = rank_.load();
    if (rank == nullptr) return {.version = 1, .rank_up = {true}};
    const GroupSnapshot group = rank->endpoint().snapshot();
    WorkerTopology topology;
    topology.version = group.epoch;
    for (const RankStatus& status : group.ranks) {
      topology.rank_up.push_back(status.up);
    }
    return topology;
  }

  void Announce() {
    const ModelReport& report = host_->model().report();
    metrics_.SetStartup(MakeStartupFacts(report, MonotonicNow() - start_time_));
    std::cout << report.ToText() << std::endl;
    service_.SetEngine(engine_,
                       MakeIdentity(*host_, report, host_->model().config(),
                                    model_name_, ports_.worker_id));
    LOG(INFO) << LogLine(
        "ready",
        {{"worker_id", ports_.worker_id},
         {"model_name", model_name_},
         {"family", report.family},
         {"world_size", report.world_size},
         {"epoch", host_->epoch()},
         {"collectives",
          host_->rank() == nullptr ? "" : host_->rank()->collectives()},
         {"parameters", report.num_parameters},
         {"backend", report.backend},
         {"describe", report.description},
         {"dtype", report.dtype},
         {"pages", report.num_pages},
         {"tokens_per_page", report.tokens_per_page},
         {"max_batch_size", report.max_batch_size},
         {"max_context", report.max_context},
         {"max_waiting_requests", options_.host.max_waiting_requests},
         {"max_waiting_prompt_tokens", options_.host.max_waiting_prompt_tokens},
         {"port", ports_.grpc->port()},
         {"metrics_port", ports_.metrics->port()},
         {"start_s", absl::ToDoubleSeconds(MonotonicNow() - start_time_)}});
  }

  // Until a signal comes, the engine fails, or the group for good.
  absl::Status Serve() {
    while (!WaitForShutdownSignal(kPollInterval)) {
      const absl::Status broken =
          host_->rank() == nullptr ? absl::OkStatus() : host_->rank()->broken();
      if (!broken.ok()) {
        ASSIGN_OR_RETURN(const bool rebuilt, Rebuild(broken));
        if (rebuilt) continue;
        return absl::OkStatus();
      }
      const absl::Status health = owned_engine_->health();
      if (health.ok() || absl::IsUnavailable(health)) continue;
      LOG(ERROR) << LogLine("engine_failed", {{"error", health.message()}});
      return absl::InternalError(
          absl::StrCat("the engine failed: ", health.message()));
    }
    return absl::OkStatus();
  }

  // Ends what runs, for the router to resume elsewhere, and forms the group
  // anew. False after a signal.
  absl::StatusOr<bool> Rebuild(const absl::Status& why) {
    LOG(WARNING) << LogLine(
        "group_broken", {{"epoch", host_->epoch()}, {"why", why.message()}});
    service_.SetGroupBroken();
    owned_engine_->Suspend(absl::UnavailableError(
        absl::StrCat("the group is broken: ", why.message())));
    service_.SetGroupBroken();
    if (options_.exit_on_group_failure) {
      return absl::AbortedError(
          absl::StrCat("the group is broken: ", why.message()));
    }
    ASSIGN_OR_RETURN(const bool joined, JoinUntilSignal(*host_));
    if (!joined) return false;
    owned_engine_->Resume();
    service_.SetGroupFormed(host_->epoch());
    LOG(INFO) << LogLine("group_formed",
                         {{"epoch", host_->epoch()},
                          {"collectives", host_->rank()->collectives()}});
    return true;
  }

  void Stop() {
    LOG(INFO) << LogLine(
        "draining",
        {{"requests", owned_engine_->load().num_running +
                          owned_engine_->load().num_waiting},
         {"timeout", absl::FormatDuration(options_.drain_timeout)}});
    const int num_ended = service_.Drain(absl::Now() + options_.drain_timeout);
    service_.Shutdown();
    ports_.grpc->Shutdown(absl::Now() + kFlushTimeout);
    host_->Stop();
    LOG(INFO) << LogLine("stopped", {{"ended_requests", num_ended}});
  }

  const WorkerOptions& options_;
  const absl::Time start_time_ = MonotonicNow();
  const std::string model_name_;
  const std::shared_ptr<prometheus::Registry> registry_ =
      std::make_shared<prometheus::Registry>();
  WorkerMetrics metrics_;
  std::unique_ptr<GroupMetrics> group_metrics_;  // null if alone
  WorkerService service_;
  // The engine's end tells the service's requests, the ports' end waits for
  // calls that use the engine: in this order.
  std::unique_ptr<RankHost> host_;
  std::unique_ptr<Engine> owned_engine_;
  std::atomic<GroupRank*> rank_ = nullptr;
  std::atomic<Engine*> engine_ = nullptr;
  WorkerPorts ports_;
};

}  // namespace

absl::Status RunWorker(const WorkerOptions& options) {
  // A wrong path is told before anything listens.
  ASSIGN_OR_RETURN(const ModelConfig config,
                   ReadModelConfig(options.host.model));
  const std::string model_name =
      options.model_name.empty() ? config.name : options.model_name;
  if (options.group.has_value() && options.group->control.rank > 0) {
    return RunFollower(options, model_name);
  }
  return WorkerProcess(options, model_name).Run();
}

}  // namespace blockserve
