// The endpoint of rank 0: serves the streams of the others.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_LEADER_ENDPOINT_H_
#define BLOCKSERVE_PARALLEL_CONTROL_LEADER_ENDPOINT_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "blockserve/group/v1/group.grpc.pb.h"
#include "parallel/control/endpoint_base.h"
#include "parallel/control/leader_state.h"
#include "parallel/control/leader_stream.h"
#include "parallel/control/rank_config.h"

namespace blockserve {

class LeaderEndpoint final : public EndpointBase,
                             private group::v1::GroupService::CallbackService {
 public:
  // Listens on `listen_address` if there are other ranks.
  static absl::StatusOr<std::unique_ptr<GroupEndpoint>> Start(
      const RankConfig& config, const std::string& listen_address,
      std::function<void(const absl::Status&)> on_broken);
  ~LeaderEndpoint() override;

  absl::Status SendPlan(absl::Span<const uint8_t> frame) override;
  int port() const override { return port_; }
  void Shutdown() override;

 private:
  LeaderEndpoint(const RankConfig& config,
                 std::function<void(const absl::Status&)> on_broken);

  absl::Status Listen(const std::string& listen_address);
  grpc::ServerBidiReactor<group::v1::MemberFrame, group::v1::LeaderFrame>* Join(
      grpc::CallbackServerContext* context) override;

  RankState& state() override { return state_; }
  const RankState& state() const override { return state_; }
  void PerformActions() override;
  void OnFrame(StreamId id, const group::v1::MemberFrame& frame);
  void OnClosed(StreamId id, const absl::Status& why);

  LeaderState state_ ABSL_GUARDED_BY(mutex_);
  StreamId last_stream_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<StreamId, std::shared_ptr<LeaderStream>> streams_
      ABSL_GUARDED_BY(mutex_);
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_LEADER_ENDPOINT_H_
