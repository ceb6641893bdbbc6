// The endpoint of ranks > 0: keeps a stream to the leader.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_MEMBER_ENDPOINT_H_
#define BLOCKSERVE_PARALLEL_CONTROL_MEMBER_ENDPOINT_H_

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "parallel/control/endpoint_base.h"
#include "parallel/control/member_state.h"
#include "parallel/control/member_stream.h"
#include "parallel/control/rank_config.h"

namespace blockserve {

class MemberEndpoint final : public EndpointBase {
 public:
  static std::unique_ptr<GroupEndpoint> Start(
      const RankConfig& config, const std::string& leader_address,
      std::function<void(const absl::Status&)> on_broken);
  ~MemberEndpoint() override;

  void Shutdown() override;

 private:
  MemberEndpoint(const RankConfig& config, const std::string& leader_address,
                 std::function<void(const absl::Status&)> on_broken);

  RankState& state() override { return state_; }
  const RankState& state() const override { return state_; }
  void PerformActions() override;
  void Open(StreamId id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnFrame(StreamId id, const group::v1::LeaderFrame& frame);
  void OnDone(StreamId id, const absl::Status& why);

  const std::string leader_address_;
  const absl::Duration connect_timeout_;
  const absl::Duration step_timeout_;
  MemberState state_ ABSL_GUARDED_BY(mutex_);
  // Abandoned ones stay until gRPC is done with them.
  std::map<StreamId, std::shared_ptr<MemberStream>> streams_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_MEMBER_ENDPOINT_H_
