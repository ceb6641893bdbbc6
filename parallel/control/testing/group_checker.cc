#include "parallel/control/testing/group_checker.h"

#include "absl/strings/str_cat.h"

namespace blockserve {
namespace {

std::string Name(ProcessId process) {
  return absl::StrCat("process ", process.number, " of rank ", process.rank);
}

}  // namespace

void GroupChecker::OnFormed(ProcessId process, bool may_join,
                            const Formation& formation) {
  const EpochKey epoch{formation.epoch, formation.leader_incarnation};
  if (!may_join) Fail(absl::StrCat(Name(process), " is in a formation"));
  if (current_.count(process.number) > 0) {
    Fail(absl::StrCat(Name(process), " is in two epochs"));
  }
  uint64_t& last = last_epoch_[process.number];
  if (formation.epoch <= last) {
    Fail(absl::StrCat(Name(process), " is in epoch ", formation.epoch,
                      " after epoch ", last));
  }
  last = formation.epoch;
  if (static_cast<int>(formation.ranks.size()) != world_size_) {
    Fail(absl::StrCat("epoch ", formation.epoch, " has ",
                      formation.ranks.size(), " ranks"));
  }
  const auto [place, is_first] =
      process_of_[epoch].emplace(process.rank, process.number);
  if (!is_first && place->second != process.number) {
    Fail(absl::StrCat(Name(process), " and process ", place->second,
                      " are both in epoch ", formation.epoch));
  }
  current_[process.number] = {epoch, 0};
  plans_[epoch];
}

void GroupChecker::OnBroken(ProcessId process) {
  if (current_.erase(process.number) == 0) {
    Fail(absl::StrCat(Name(process), " has lost an epoch it was not in"));
  }
}

std::string GroupChecker::BlobOf(EpochKey epoch, int rank) {
  return absl::StrCat(epoch.first, "/", epoch.second, "/", rank);
}

void GroupChecker::OnBlobs(ProcessId process,
                           const std::vector<std::string>& blobs) {
  const EpochKey epoch = ProgressOf(process).first;
  if (static_cast<int>(blobs.size()) != world_size_) {
    Fail(absl::StrCat(Name(process), " got ", blobs.size(), " blobs"));
    return;
  }
  for (int rank = 0; rank < world_size_; ++rank) {
    const std::string& blob = blobs[static_cast<size_t>(rank)];
    if (blob != BlobOf(epoch, rank)) {
      Fail(absl::StrCat(Name(process), " got blob ", blob, ", expected ",
                        BlobOf(epoch, rank)));
    }
  }
}

void GroupChecker::OnPlanned(EpochKey epoch, uint64_t number,
                             const std::string& payload) {
  std::vector<std::string>& plans = plans_[epoch];
  plans.push_back(payload);
  if (plans.size() != number) {
    Fail(absl::StrCat("plan ", plans.size(), " got number ", number));
  }
}

void GroupChecker::OnExecuted(ProcessId process, uint64_t number,
                              const std::string& payload) {
  const auto current = current_.find(process.number);
  if (current == current_.end()) {
    Fail(absl::StrCat(Name(process), " executes without an epoch"));
    return;
  }
  const std::vector<std::string>& plans = plans_[current->second.epoch];
  if (number != ++current->second.num_executed) {
    Fail(absl::StrCat(Name(process), " executes plan ", number, ", not ",
                      current->second.num_executed));
  } else if (number > plans.size() || plans[number - 1] != payload) {
    Fail(absl::StrCat(Name(process), " executes another plan ", number,
                      " than epoch ", current->second.epoch.first, " has"));
  }
  ++num_executed_;
}

void GroupChecker::OnAccepted(int leader, int rank, uint64_t stream,
                              bool may_join) {
  if (!may_join) {
    Fail(absl::StrCat("a stranger was accepted as rank ", rank));
  }
  const auto [place, is_free] =
      stream_of_.emplace(std::make_pair(leader, rank), stream);
  if (!is_free) {
    Fail(absl::StrCat("stream ", stream, " was accepted as rank ", rank,
                      " while stream ", place->second, " is"));
  }
}

void GroupChecker::OnStreamOver(int leader, uint64_t stream) {
  for (auto it = stream_of_.begin(); it != stream_of_.end();) {
    const bool is_it = it->first.first == leader && it->second == stream;
    it = is_it ? stream_of_.erase(it) : std::next(it);
  }
}

std::pair<EpochKey, uint64_t> GroupChecker::ProgressOf(
    ProcessId process) const {
  const auto current = current_.find(process.number);
  if (current == current_.end()) return {EpochKey{0, 0}, 0};
  return {current->second.epoch, current->second.num_executed};
}

}  // namespace blockserve
