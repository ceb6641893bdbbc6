// What Gloo looks its peers' addresses up in: our rendezvous.
#ifndef BLOCKSERVE_PARALLEL_GLOO_EXCHANGE_STORE_H_
#define BLOCKSERVE_PARALLEL_GLOO_EXCHANGE_STORE_H_

#include <gloo/rendezvous/store.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "parallel/api/bootstrap.h"

namespace blockserve {

// Gloo sets its host's name and gets those of lower ranks, then sets its
// address and gets everybody's; keys end in the rank. Each set is an exchange.
class ExchangeStore final : public gloo::rendezvous::Store {
 public:
  explicit ExchangeStore(const BlobExchange& exchange) : exchange_(exchange) {}

  // Throw if the exchange failed; status() then says why.
  void set(const std::string& key, const std::vector<char>& data) override;
  std::vector<char> get(const std::string& key) override;
  void wait(const std::vector<std::string>&) override {}
  void wait(const std::vector<std::string>&,
            const std::chrono::milliseconds&) override {}

  const absl::Status& status() const { return status_; }

 private:
  const BlobExchange& exchange_;
  std::vector<std::string> blobs_;  // by rank
  absl::Status status_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_GLOO_EXCHANGE_STORE_H_
