// A BlobExchange between threads of a test.
#ifndef BLOCKSERVE_PARALLEL_CONFORMANCE_EXCHANGE_HUB_H_
#define BLOCKSERVE_PARALLEL_CONFORMANCE_EXCHANGE_HUB_H_

#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "parallel/api/bootstrap.h"

namespace blockserve {

class ExchangeHub {
 public:
  explicit ExchangeHub(int size) : blobs_(static_cast<size_t>(size)) {}

  BlobExchange ForRank(int rank) {
    return [this, rank](
               std::string mine) -> absl::StatusOr<std::vector<std::string>> {
      std::unique_lock lock(mutex_);
      const int round = round_;
      blobs_[static_cast<size_t>(rank)] = std::move(mine);
      if (++num_come_ == static_cast<int>(blobs_.size())) {
        result_ = blobs_;
        num_come_ = 0;
        ++round_;
        changed_.notify_all();
      } else {
        changed_.wait(lock, [&] { return round_ != round; });
      }
      return result_;
    };
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> blobs_;
  std::vector<std::string> result_;  // of the last round
  int num_come_ = 0;
  int round_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONFORMANCE_EXCHANGE_HUB_H_
