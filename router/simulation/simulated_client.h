// One request of a client, which checks what it is told.
#ifndef BLOCKSERVE_ROUTER_SIMULATION_SIMULATED_CLIENT_H_
#define BLOCKSERVE_ROUTER_SIMULATION_SIMULATED_CLIENT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "blockserve/worker/v1/worker.pb.h"
#include "router/routed_request.h"
#include "router/simulation/simulation_world.h"

namespace blockserve {

// Every request ends once: with the tokens of an undisturbed run, or with an
// error that its history excuses. Knows of ResumePlan's rules only what is
// promised to clients.
class SimulatedClient : public RoutedRequestListener {
 public:
  SimulatedClient(SimulationWorld* world, RoutedRequestOptions options);

  // The client of a request, by its id on the wire.
  static SimulatedClient& Of(SimulationWorld* world,
                             const std::string& wire_id);

  void Start(std::shared_ptr<RoutedRequest> request);
  // The client leaves, or its deadline has passed.
  void Cancel(const std::string& why);

  // What befalls the request on its way.
  void NoteDispatch();
  void NoteLoss();
  void NoteEnd(const worker::v1::Done& done);
  void NoteVictim() { ++num_victims_; }
  // Whether the command goes on where the client is.
  bool AcceptsResume(const worker::v1::GenerateCommand& command);

  void OnRoutedEvent(int index, const worker::v1::RequestEvent& event) override;
  void OnRoutedRestart(int index) override;
  void OnRoutedError(int index, const RpcError& error) override;

  bool has_ended() const { return has_ended_; }
  // "OK", what Cancel was given, or the error's reason; POISON or TWO_LOSSES if
  // that was two losses in a row, by its own doing or not.
  const std::string& outcome() const { return outcome_; }
  int num_dispatches() const { return num_dispatches_; }
  const RoutedRequestOptions& options() const { return options_; }

 private:
  void End(const std::string& outcome);
  // Why the error may be; empty: it may not.
  std::string ExcuseFor(const RpcError& error) const;

  SimulationWorld* const world_;
  const RoutedRequestOptions options_;
  std::vector<uint32_t> expected_;
  bool expects_stop_ = false;

  std::shared_ptr<RoutedRequest> request_;
  std::vector<uint32_t> tokens_;
  bool has_ended_ = false;
  std::string outcome_;
  int num_dispatches_ = 0;
  int num_victims_ = 0;
  bool failed_by_group_ = false;  // with INTERNAL
  absl::Time last_end_;           // of an attempt
  // Tokens that the client had at the last loss, and whether it had no more at
  // the one before.
  std::optional<size_t> lost_at_;
  bool lost_twice_ = false;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_SIMULATION_SIMULATED_CLIENT_H_
