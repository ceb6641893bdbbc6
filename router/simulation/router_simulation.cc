#include "router/simulation/router_simulation.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "blockserve/worker/v1/worker.pb.h"
#include "router/policy/routing_policy.h"
#include "router/random_source.h"
#include "router/routed_request.h"
#include "router/router_metrics.h"
#include "router/simulation/simulated_client.h"
#include "router/simulation/simulated_connection.h"
#include "router/simulation/simulated_group.h"
#include "router/simulation/simulation_world.h"
#include "router/worker_fleet.h"

namespace blockserve {
namespace {

using absl::Milliseconds;
using absl::Seconds;

constexpr absl::Duration kTick = Milliseconds(20);
constexpr absl::Duration kFaultyTime = Seconds(10);
// Longer than a group takes to start, an ejection and a wait for a worker.
constexpr absl::Duration kHealingTime = Seconds(6);
constexpr absl::Duration kCalmTime = Seconds(3);
constexpr int kNumCalmRequests = 8;

std::unique_ptr<RoutingPolicy> PolicyOf(uint64_t seed) {
  constexpr const char* kNames[] = {"least_outstanding", "power_of_two",
                                    "round_robin"};
  return *CreateRoutingPolicy(kNames[seed % 3]);
}

class RouterSimulation {
 public:
  RouterSimulation(uint64_t seed, const PlantedResumeDefects& planted,
                   std::string* trace)
      : world_(seed), policy_(PolicyOf(seed)), random_(seed) {
    world_.trace = trace;
    const int num_groups = random().Int(2, 5);
    for (int i = 0; i < num_groups; ++i) {
      addresses_.push_back(absl::StrCat("group-", i));
      groups_.push_back(
          std::make_unique<SimulatedGroup>(&world_, addresses_.back()));
    }
    max_pause_ = random().Between(Milliseconds(300), Seconds(5));
    resume_.mid_stream_resume = random().Chance(90);
    resume_.max_attempts = random().Int(2, 5);
    resume_.resume_timeout = Milliseconds(random().Int(1, 5) * 1000);
    resume_.planted = planted;
    fleet_ = std::make_unique<WorkerFleet>(FleetOptions(), *policy_, &metrics_,
                                           &random_);
  }

  RouterSimulationResult Run() {
    ScheduleTick();
    ScheduleRequest();
    ScheduleFault();
    RunFor(kFaultyTime);
    Calm();
    RunFor(kHealingTime);
    CheckHealed();
    for (int i = 0; i < kNumCalmRequests; ++i) StartRequest();
    RunFor(kCalmTime);
    CheckEnds();
    return Result();
  }

 private:
  SimulationRandom& random() { return world_.random; }

  WorkerFleetOptions FleetOptions() {
    WorkerFleetOptions options;
    options.addresses = addresses_;
    options.health.max_consecutive_failures = random().Int(1, 5);
    options.health.base_ejection = Milliseconds(500);
    options.health.max_ejection = Seconds(2);
    if (random().Chance(30)) {
      options.retry_budget = {.ratio = 0.1, .min_concurrent = 1};
    }
    SimulatedConnectionOptions connection;
    connection.stall_timeout = Seconds(1);
    connection.connect_timeout = Seconds(1);
    options.clock = [this] { return world_.now(); };
    options.connect = [this, connection](int worker, const std::string& address,
                                         WorkerConnectionListener* listener) {
      return std::make_unique<SimulatedConnection>(&world_, worker, address,
                                                   connection, listener);
    };
    return options;
  }

  void RunFor(absl::Duration time) {
    const absl::Time end = world_.now() + time;
    while (world_.violation.empty() && world_.events.RunNext(end)) {
    }
  }

  void ScheduleTick() {
    world_.events.After(kTick, [this] {
      CheckEjections();
      fleet_->Tick();
      ScheduleTick();
    });
  }

  void CheckEjections() {
    // One that left since the last time was counted then.
    const int num_workers = fleet_->num_workers();
    const int num_ejected = fleet_->num_ejected();
    if (num_ejected > num_ejected_ &&
        2 * num_ejected > std::max(num_workers, num_workers_)) {
      world_.Violate(num_ejected, " of ", num_workers, " workers are ejected");
    }
    num_ejected_ = num_ejected;
    num_workers_ = num_workers;
  }

  void ScheduleRequest() {
    world_.events.After(random().Between(Milliseconds(5), Milliseconds(250)),
                        [this] {
                          if (is_calm_) return;
                          StartRequest();
                          ScheduleRequest();
                        });
  }

  void StartRequest() {
    RoutedRequestOptions options;
    options.request_id = absl::StrCat("r", clients_.size());
    options.command = Command();
    options.blocks = options.command.generate().sampling_params().max_tokens();
    options.deadline =
        world_.now() + (is_calm_ || random().Chance(70)
                            ? Seconds(60)
                            : Milliseconds(random().Int(0, 4000)));
    options.resume = resume_;
    options.restart_after_tokens = random().Chance(20);
    clients_.push_back(std::make_unique<SimulatedClient>(&world_, options));
    SimulatedClient* const client = clients_.back().get();
    world_.events.At(options.deadline,
                     [client] { client->Cancel("DEADLINE"); });
    if (!is_calm_ && random().Chance(10)) {
      world_.events.After(Milliseconds(random().Int(0, 2000)),
                          [client] { client->Cancel("CANCELLED"); });
    }
    client->Start(std::make_shared<RoutedRequest>(
        fleet_.get(), &metrics_, &random_, options, Unowned(client)));
  }

  // Clients live as long as the simulation.
  static std::shared_ptr<RoutedRequestListener> Unowned(
      SimulatedClient* client) {
    return {std::shared_ptr<void>(), client};
  }

  worker::v1::ExecuteRequest Command() {
    worker::v1::ExecuteRequest request;
    auto& command = *request.mutable_generate();
    if (!is_calm_ && random().Chance(2)) {
      command.add_prompt_ids(SimulatedGroup::kPoison);
      command.add_prompt_ids(random().Int(0, 12));
    } else {
      command.add_prompt_ids(random().Int(1, 200));
    }
    auto& params = *command.mutable_sampling_params();
    params.set_seed(random().Next());
    params.set_max_tokens(random().Int(1, random().Chance(30) ? 200 : 40));
    params.set_logprobs(-1);
    params.set_ignore_eos(true);
    if (random().Chance(50)) params.add_stop_token_ids(random().Int(1, 255));
    return request;
  }

  void ScheduleFault() {
    world_.events.After(random().Between(Milliseconds(20), max_pause_), [this] {
      if (is_calm_) return;
      Fault();
      ScheduleFault();
    });
  }

  void Fault() {
    SimulatedGroup& group =
        *groups_[random().Int(0, static_cast<int>(groups_.size()) - 1)];
    const std::vector<std::pair<const char*, std::function<void()>>> kinds = {
        {"kill", [&] { group.Kill(/*silently=*/false); }},
        {"vanish", [&] { group.Kill(/*silently=*/true); }},
        {"lose_rank", [&] { group.LoseRank(); }},
        {"stop", [&] { group.Stop(); }},
        {"cut", [&] { group.Cut(); }},
        {"reset", [&] { group.ResetSession(); }},
        {"drain", [&] { group.Drain(); }},
        {"unready", [&] { group.BeUnready(); }},
        {"fail", [&] { group.FailRequests(); }},
        {"crash_loop", [&] { group.CrashLoop(); }},
        {"discovery", [&] { ChangeAddresses(); }},
    };
    const auto& [name, act] =
        kinds[random().Int(0, static_cast<int>(kinds.size()) - 1)];
    ++world_.faults[name];
    act();
  }

  void ChangeAddresses() {
    std::vector<std::string> some;
    for (const std::string& address : addresses_) {
      if (random().Chance(70)) some.push_back(address);
    }
    world_.Trace("discovery finds ", some.size());
    fleet_->SetAddresses(some);
  }

  void Calm() {
    world_.Trace("calm");
    is_calm_ = true;
    for (const auto& group : groups_) group->Calm();
    fleet_->SetAddresses(addresses_);
  }

  void CheckHealed() {
    if (fleet_->num_healthy() != static_cast<int>(groups_.size())) {
      world_.Violate("only ", fleet_->num_healthy(), " of ", groups_.size(),
                     " groups are back");
    }
    CheckAllEnded();
    num_before_calm_ = clients_.size();
  }

  void CheckAllEnded() {
    for (const auto& client : clients_) {
      if (client->has_ended()) continue;
      world_.Violate(client->options().request_id, " has not ended");
    }
  }

  void CheckEnds() {
    CheckAllEnded();
    for (size_t i = num_before_calm_; i < clients_.size(); ++i) {
      const SimulatedClient& client = *clients_[i];
      if (client.outcome() == "OK" && client.num_dispatches() == 1) continue;
      world_.Violate(client.options().request_id, " ended with ",
                     client.outcome(), " in the calm");
    }
    for (const auto& [name, value] : ReadMetrics()) {
      if (value != 0 && (absl::StrContains(name, "inflight") ||
                         absl::StrContains(name, "in_use") ||
                         absl::StrContains(name, "waiting_resumes"))) {
        world_.Violate(name, " is ", value, " at the end");
      }
    }
  }

  std::map<std::string, int64_t> ReadMetrics() const {
    std::map<std::string, int64_t> values;
    for (const auto& family : metrics_.registry()->Collect()) {
      for (const auto& metric : family.metric) {
        values[family.name] +=
            static_cast<int64_t>(metric.counter.value + metric.gauge.value);
      }
    }
    return values;
  }

  RouterSimulationResult Result() const {
    RouterSimulationResult result;
    result.violation = world_.violation;
    result.num_requests = static_cast<int64_t>(clients_.size());
    for (const auto& client : clients_) {
      ++result.outcomes[client->outcome()];
      result.num_dispatches += client->num_dispatches();
    }
    result.faults = world_.faults;
    result.metrics = ReadMetrics();
    return result;
  }

  SimulationWorld world_;
  const std::unique_ptr<RoutingPolicy> policy_;
  RandomSource random_;  // the router's own
  RouterMetrics metrics_;
  ResumeOptions resume_;
  absl::Duration max_pause_;  // between faults
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<SimulatedGroup>> groups_;
  std::vector<std::unique_ptr<SimulatedClient>> clients_;
  std::unique_ptr<WorkerFleet> fleet_;
  bool is_calm_ = false;
  int num_ejected_ = 0;  // at the last tick
  int num_workers_ = 0;
  size_t num_before_calm_ = 0;
};

}  // namespace

RouterSimulationResult SimulateRouter(uint64_t seed,
                                      const PlantedResumeDefects& planted,
                                      bool with_trace) {
  std::string trace;
  RouterSimulationResult result =
      RouterSimulation(seed, planted, with_trace ? &trace : nullptr).Run();
  result.trace = std::move(trace);
  return result;
}

}  // namespace blockserve
