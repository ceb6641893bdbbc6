#include "runtime/worker/rank_host.h"

#include <string>
#include <utility>
#include <vector>

#include "parallel/control/host_id.h"
#include "runtime/base/status_macros.h"
#include "runtime/group/collective_bytes.h"
#include "runtime/group/rank_setup.h"
#include "runtime/weights/fingerprint.h"

namespace blockserve {

bool IsTransient(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
      return true;
    default:
      return false;
  }
}

absl::StatusOr<std::unique_ptr<RankHost>> RankHost::Create(
    const ModelHostOptions& model, std::optional<GroupRankOptions> group) {
  std::unique_ptr<RankHost> host(new RankHost());
  if (group.has_value()) {
    ASSIGN_OR_RETURN(group->control.model_fingerprint,
                     FingerprintOf(model.model));
    ASSIGN_OR_RETURN(group->control.host_id, LocalHostId());
    ASSIGN_OR_RETURN(host->rank_, GroupRank::Start(*group));
  }
  ASSIGN_OR_RETURN(
      host->model_,
      ModelHost::Prepare(
          model, host->rank_ == nullptr ? host->alone_ : host->rank_->group()));
  return host;
}

absl::Status RankHost::Join(
    absl::Time deadline,
    const std::function<void(int64_t, int64_t)>& progress) {
  if (rank_ == nullptr) {
    RETURN_IF_ERROR(model_->Load(model_->Offer(), progress));
    return model_->WarmUp();
  }
  const absl::Status joined = JoinGroup(deadline, progress);
  if (joined.ok()) return joined;
  const absl::Status broken = rank_->broken();
  rank_->Break(joined);
  // A step or an exchange that failed because the epoch is over says little.
  return broken.ok() || !IsTransient(broken) || absl::IsCancelled(joined)
             ? joined
             : broken;
}

absl::Status RankHost::JoinGroup(
    absl::Time deadline,
    const std::function<void(int64_t, int64_t)>& progress) {
  ASSIGN_OR_RETURN(const Formation formation, rank_->Form(deadline));
  ASSIGN_OR_RETURN(const std::vector<std::string> setups,
                   rank_->Exchange(model_->Offer().ToJson()));
  ASSIGN_OR_RETURN(const RankSetup agreed,
                   AgreeOnSetup(setups, rank_->group().rank));
  if (!model_->is_loaded()) {
    RETURN_IF_ERROR(model_->Load(agreed, progress));
  }
  // Nobody's collectives wait while others load.
  RETURN_IF_ERROR(rank_->Exchange("loaded").status());
  RETURN_IF_ERROR(rank_->Connect(
      MaxCollectiveBytes(model_->config(), model_->model().limits()),
      model_->ops().native_stream()));
  RETURN_IF_ERROR(model_->WarmUp());
  epoch_ = formation.epoch;
  return absl::OkStatus();
}

void RankHost::Stop() {
  if (rank_ != nullptr) rank_->Stop();
}

}  // namespace blockserve
