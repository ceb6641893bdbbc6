// Endpoints of a group in one process, for tests over real gRPC.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_TESTING_ENDPOINT_GROUP_H_
#define BLOCKSERVE_PARALLEL_CONTROL_TESTING_ENDPOINT_GROUP_H_

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "parallel/control/group_endpoint.h"

namespace blockserve {

// Counts the calls of on_broken.
class BrokenSignal {
 public:
  void Add(const absl::Status& why) {
    const std::lock_guard<std::mutex> lock(mutex_);
    reasons_.push_back(why);
    changed_.notify_all();
  }
  // The reason of the n-th call (from 1); DEADLINE_EXCEEDED after 10 s.
  absl::Status Wait(size_t n) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(10),
                           [&] { return reasons_.size() >= n; })) {
      return absl::DeadlineExceededError("on_broken was not called");
    }
    return reasons_[n - 1];
  }
  size_t count() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return reasons_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<absl::Status> reasons_;
};

class EndpointGroup : public ::testing::Test {
 protected:
  static constexpr int kMaxRanks = 4;

  static GroupOptions OptionsOf(int rank, int world_size, int leader_port) {
    GroupOptions options;
    options.rank = rank;
    options.world_size = world_size;
    options.listen_address = "127.0.0.1:0";
    options.leader_address = absl::StrCat("127.0.0.1:", leader_port);
    options.secret = "a secret of the group";
    options.model_fingerprint = "model";
    options.build_version = "build";
    options.host_id = "host";
    options.step_timeout = absl::Seconds(2);
    return options;
  }

  ~EndpointGroup() override {
    for (auto& endpoint : endpoints_) endpoint.reset();
  }

  void StartAll(int world_size) {
    world_size_ = world_size;
    for (int rank = 0; rank < world_size; ++rank) StartRank(rank);
  }

  void StartRank(int rank) {
    GroupOptions options = OptionsOf(rank, world_size_, port_);
    // A leader that comes back has the address that it had.
    if (rank == 0 && port_ != 0) {
      options.listen_address = absl::StrCat("127.0.0.1:", port_);
    }
    BrokenSignal* broken = &broken_[rank];
    auto endpoint = GroupEndpoint::Start(
        options, [broken](const absl::Status& why) { broken->Add(why); });
    ASSERT_TRUE(endpoint.ok()) << endpoint.status();
    endpoints_[rank] = *std::move(endpoint);
    if (rank == 0) port_ = endpoints_[0]->port();
  }

  GroupEndpoint& At(int rank) { return *endpoints_[rank]; }

  // All ranks form; the epoch's number, 0 if one of them fails.
  uint64_t FormAll() {
    std::vector<std::thread> threads;
    std::vector<uint64_t> epochs(static_cast<size_t>(world_size_));
    for (int rank = 0; rank < world_size_; ++rank) {
      threads.emplace_back([&, rank] {
        const auto formed = At(rank).Form(absl::Now() + absl::Seconds(10));
        EXPECT_TRUE(formed.ok()) << "rank " << rank << ": " << formed.status();
        if (formed.ok()) epochs[static_cast<size_t>(rank)] = formed->epoch;
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const uint64_t epoch : epochs) EXPECT_EQ(epoch, epochs[0]);
    return epochs[0];
  }

  absl::Status Plan(const std::string& plan) {
    return At(0).SendPlan(absl::MakeConstSpan(
        reinterpret_cast<const uint8_t*>(plan.data()), plan.size()));
  }

  int world_size_ = 0;
  int port_ = 0;
  BrokenSignal broken_[kMaxRanks];
  std::unique_ptr<GroupEndpoint> endpoints_[kMaxRanks];
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_TESTING_ENDPOINT_GROUP_H_
