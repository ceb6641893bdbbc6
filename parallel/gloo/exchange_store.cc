#include "parallel/gloo/exchange_store.h"

#include <stdexcept>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace blockserve {

void ExchangeStore::set(const std::string& /*key*/,
                        const std::vector<char>& data) {
  auto blobs = exchange_(std::string(data.begin(), data.end()));
  if (!blobs.ok()) {
    status_ = blobs.status();
    throw std::runtime_error(status_.ToString());
  }
  blobs_ = *std::move(blobs);
}

std::vector<char> ExchangeStore::get(const std::string& key) {
  const size_t digits = key.find_last_not_of("0123456789");
  size_t rank = 0;
  if (!absl::SimpleAtoi(
          key.substr(digits == std::string::npos ? 0 : digits + 1), &rank) ||
      rank >= blobs_.size()) {
    status_ = absl::InternalError(absl::StrCat(
        "Gloo asks for \"", key, "\" of ", blobs_.size(), " ranks"));
    throw std::runtime_error(status_.ToString());
  }
  return std::vector<char>(blobs_[rank].begin(), blobs_[rank].end());
}

}  // namespace blockserve
