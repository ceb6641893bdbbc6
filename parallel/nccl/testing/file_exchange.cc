#include "parallel/nccl/testing/file_exchange.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace blockserve {

BlobExchange ExchangeByFiles(const std::string& path, int rank, int size) {
  auto num_calls = std::make_shared<int>(0);
  return [=](std::string mine) -> absl::StatusOr<std::vector<std::string>> {
    const int call = (*num_calls)++;
    const auto name = [&](int of) {
      return absl::StrCat(path, ".blob.", call, ".", of);
    };
    // Others see it when it is whole.
    const std::string begun = absl::StrCat(name(rank), ".begun");
    std::ofstream(begun) << mine;
    std::filesystem::rename(begun, name(rank));
    std::vector<std::string> blobs;
    for (int of = 0; of < size; ++of) {
      while (!std::filesystem::exists(name(of))) {
        absl::SleepFor(absl::Milliseconds(1));
      }
      std::stringstream bytes;
      bytes << std::ifstream(name(of)).rdbuf();
      blobs.push_back(bytes.str());
    }
    return blobs;
  };
}

}  // namespace blockserve
