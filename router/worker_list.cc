#include "router/worker_list.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "runtime/base/status_macros.h"
#include "runtime/serving/listen_address.h"

namespace blockserve {
namespace {

constexpr size_t kMaxNamedLines = 10;

// Text of a file or flag, fit for a message.
std::string Shown(absl::string_view text) {
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, 64)),
                      text.size() > 64 ? "..." : "", "\"");
}

absl::Status CheckCount(size_t count) {
  if (count <= kMaxWorkers) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("at most ", kMaxWorkers, " workers expected, got ", count));
}

}  // namespace

absl::StatusOr<std::string> ParseWorkerAddress(absl::string_view text) {
  const auto address = ParseListenAddress(text);
  if (!address.ok() || address->port == 0 || absl::StartsWith(text, ":")) {
    return absl::InvalidArgumentError(
        absl::StrCat("HOST:PORT expected, got ", Shown(text)));
  }
  return address->ToString();
}

absl::StatusOr<std::vector<std::string>> ParseWorkerList(
    absl::string_view list) {
  std::vector<std::string> workers;
  for (absl::string_view text : absl::StrSplit(list, ',')) {
    ASSIGN_OR_RETURN(std::string worker, ParseWorkerAddress(text));
    workers.push_back(std::move(worker));
  }
  RETURN_IF_ERROR(CheckCount(workers.size()));
  return workers;
}

absl::StatusOr<std::vector<std::string>> ParseWorkerFile(
    absl::string_view text) {
  std::vector<std::string> workers;
  std::vector<std::string> errors;
  int line_number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++line_number;
    const std::vector<absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits('#', 1));
    const absl::string_view address = absl::StripAsciiWhitespace(parts[0]);
    if (address.empty()) continue;
    auto worker = ParseWorkerAddress(address);
    if (worker.ok()) {
      workers.push_back(*std::move(worker));
    } else if (errors.size() < kMaxNamedLines) {
      errors.push_back(
          absl::StrCat("line ", line_number, ": ", worker.status().message()));
    }
  }
  if (!errors.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(errors, "; "));
  }
  RETURN_IF_ERROR(CheckCount(workers.size()));
  return workers;
}

}  // namespace blockserve
