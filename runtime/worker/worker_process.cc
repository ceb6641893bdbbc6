#include "runtime/worker/worker_process.h"

#include <glog/logging.h>
#include <prometheus/registry.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "runtime/base/monotonic_clock.h"
#include "runtime/base/status_macros.h"
#include "runtime/config/model_config_reader.h"
#include "runtime/serving/grpc_server.h"
#include "runtime/serving/log_line.h"
#include "runtime/serving/metrics_server.h"
#include "runtime/serving/port_file.h"
#include "runtime/serving/process.h"
#include "runtime/worker/worker_metrics.h"
#include "runtime/worker/worker_service.h"

namespace blockserve {
namespace {

constexpr char kVersion[] = "0.1.0";
// How often signals and the engine's health are looked at.
constexpr absl::Duration kPollInterval = absl::Milliseconds(50);
// What streams get to send what is pending when all requests have ended.
constexpr absl::Duration kFlushTimeout = absl::Seconds(2);
// Weights smaller than this load before anyone could read a progress line.
constexpr int64_t kProgressFromBytes = int64_t{1} << 28;

// A line every tenth of a large checkpoint.
class ProgressLogger {
 public:
  void operator()(int64_t bytes, int64_t total_bytes) {
    if (total_bytes < kProgressFromBytes) return;
    const int tenth = static_cast<int>(bytes * 10 / total_bytes);
    if (tenth == last_tenth_) return;
    last_tenth_ = tenth;
    LOG(INFO) << LogLine("loading", {{"percent", tenth * 10},
                                     {"bytes", bytes},
                                     {"total_bytes", total_bytes}});
  }

 private:
  int last_tenth_ = 0;
};

std::string RandomInstanceId() {
  std::random_device device;
  return absl::StrFormat("%08x%08x%08x%08x", device(), device(), device(),
                         device());
}

std::string HostName() {
  char name[256] = "localhost";
  gethostname(name, sizeof(name) - 1);
  return name;
}

worker::v1::GetIdentityResponse MakeIdentity(const HostedModel& hosted,
                                             const std::string& model_name,
                                             const std::string& worker_id) {
  const ModelConfig& config = hosted.engine->model().config();
  worker::v1::GetIdentityResponse identity;
  identity.set_worker_id(worker_id);
  identity.set_instance_id(RandomInstanceId());
  identity.set_group_epoch(1);
  identity.set_model_name(model_name);
  identity.set_family(hosted.report.family);
  identity.set_block_length(config.block_length);
  identity.set_vocab_size(config.vocab_size);
  identity.set_context_length(hosted.report.max_context);
  identity.set_bos_token_id(static_cast<uint32_t>(config.special.bos));
  identity.set_eos_token_id(static_cast<uint32_t>(config.special.eos));
  identity.set_parameter_count(hosted.report.num_parameters);
  identity.set_dtype(hosted.report.dtype);
  identity.set_backend(hosted.report.backend);
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

class WorkerProcess {
 public:
  WorkerProcess(const WorkerOptions& options, std::string model_name)
      : options_(options),
        model_name_(std::move(model_name)),
        metrics_(registry_, model_name_),
        service_({.drain_timeout = options.drain_timeout,
                  .log_requests = options.log_requests,
                  .on_ready = [this](bool ready) { server_->SetReady(ready); }},
                 &metrics_) {}

  absl::Status Run() {
    RETURN_IF_ERROR(Listen());
    RETURN_IF_ERROR(Load());
    Announce();
    const absl::Status health = Serve();
    Stop();
    return health;
  }

 private:
  absl::Status Listen() {
    ASSIGN_OR_RETURN(
        server_,
        GrpcServer::Start({.address = options_.address,
                           .max_message_bytes = options_.max_message_bytes},
                          {&service_}));
    ASSIGN_OR_RETURN(
        metrics_server_,
        MetricsServer::Start(options_.metrics_address, registry_, [this] {
          // Null until the model is loaded.
          if (Engine* engine = engine_.load()) metrics_.SetLoad(engine->load());
        }));
    worker_id_ = options_.worker_id.empty()
                     ? absl::StrCat(HostName(), ":", server_->port())
                     : options_.worker_id;
    LOG(INFO) << LogLine("listening",
                         {{"worker_id", worker_id_},
                          {"port", server_->port()},
                          {"metrics_port", metrics_server_->port()}});
    if (options_.port_file.empty()) return absl::OkStatus();
    return WritePortFile(
        options_.port_file,
        {{"port", server_->port()}, {"metrics_port", metrics_server_->port()}});
  }

  // On a thread of its own, so that a signal ends a start that takes long. What
  // is being loaded cannot be stopped, but left.
  absl::Status Load() {
    LOG(INFO) << LogLine("loading_model", {{"model", options_.host.model}});
    absl::StatusOr<HostedModel> result = absl::UnknownError("not loaded");
    absl::Notification loaded;
    std::thread loader([&] {
      result = HostModel(
          options_.host,
          {.on_step =
               [this](const StepStats& stats) { metrics_.OnStep(stats); },
           .on_done = nullptr},
          ProgressLogger());
      loaded.Notify();
    });
    while (!loaded.WaitForNotificationWithTimeout(kPollInterval)) {
      if (WaitForShutdownSignal(absl::ZeroDuration())) {
        LOG(INFO) << LogLine("stopped_while_loading");
        std::_Exit(kExitOk);
      }
    }
    loader.join();
    ASSIGN_OR_RETURN(hosted_, std::move(result));
    return absl::OkStatus();
  }

  void Announce() {
    metrics_.SetStartup(
        MakeStartupFacts(hosted_.report, MonotonicNow() - start_time_));
    engine_ = hosted_.engine.get();
    std::cout << hosted_.report.ToText() << std::endl;
    service_.SetEngine(hosted_.engine.get(),
                       MakeIdentity(hosted_, model_name_, worker_id_));
    const ModelReport& report = hosted_.report;
    LOG(INFO) << LogLine(
        "ready",
        {{"worker_id", worker_id_},
         {"model_name", model_name_},
         {"family", report.family},
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
         {"port", server_->port()},
         {"metrics_port", metrics_server_->port()},
         {"start_s", absl::ToDoubleSeconds(MonotonicNow() - start_time_)}});
  }

  // Until a signal comes or the engine fails.
  absl::Status Serve() {
    while (!WaitForShutdownSignal(kPollInterval)) {
      const absl::Status health = hosted_.engine->health();
      if (health.ok()) continue;
      LOG(ERROR) << LogLine("engine_failed", {{"error", health.message()}});
      return absl::InternalError(
          absl::StrCat("the engine failed: ", health.message()));
    }
    return absl::OkStatus();
  }

  void Stop() {
    LOG(INFO) << LogLine(
        "draining",
        {{"requests", hosted_.engine->load().num_running +
                          hosted_.engine->load().num_waiting},
         {"timeout", absl::FormatDuration(options_.drain_timeout)}});
    const int num_ended = service_.Drain(absl::Now() + options_.drain_timeout);
    service_.Shutdown();
    server_->Shutdown(absl::Now() + kFlushTimeout);
    LOG(INFO) << LogLine("stopped", {{"ended_requests", num_ended}});
  }

  const WorkerOptions& options_;
  const absl::Time start_time_ = MonotonicNow();
  const std::string model_name_;
  std::string worker_id_;
  const std::shared_ptr<prometheus::Registry> registry_ =
      std::make_shared<prometheus::Registry>();
  WorkerMetrics metrics_;
  WorkerService service_;
  // Its end tells the service's requests, the servers' ends wait for calls that
  // use the engine: in this order.
  HostedModel hosted_;
  std::atomic<Engine*> engine_ = nullptr;
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<MetricsServer> metrics_server_;
};

}  // namespace

absl::Status RunWorker(const WorkerOptions& options) {
  // A wrong path is told before anything listens.
  ASSIGN_OR_RETURN(const ModelConfig config,
                   ReadModelConfig(options.host.model));
  WorkerProcess process(
      options, options.model_name.empty() ? config.name : options.model_name);
  return process.Run();
}

}  // namespace blockserve
