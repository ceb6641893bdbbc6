#include "parallel/local/local_communicator.h"

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "parallel/host/host_communicator.h"

namespace blockserve {
namespace {

// HostCommunicator runs nothing in a group of one.
class LocalCommunicator final : public HostCommunicator {
 public:
  explicit LocalCommunicator(const CommunicatorLimits& limits)
      : HostCommunicator("local", 0, 1, limits) {}

 private:
  absl::Status RunAllReduce(absl::Span<float>) override {
    return absl::OkStatus();
  }
  absl::Status RunReduceScatter(float*, int64_t, int64_t) override {
    return absl::OkStatus();
  }
  absl::Status RunAllGather(absl::Span<const GatheredArray>, int64_t) override {
    return absl::OkStatus();
  }
  absl::Status RunBroadcast(absl::Span<std::byte>, int) override {
    return absl::OkStatus();
  }
  absl::Status RunBarrier() override { return absl::OkStatus(); }
  void Interrupt() override {}
};

}  // namespace

std::unique_ptr<Communicator> CreateLocalCommunicator(
    const CommunicatorLimits& limits) {
  return std::make_unique<LocalCommunicator>(limits);
}

}  // namespace blockserve
