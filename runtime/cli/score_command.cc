// blockserve score: log-probabilities of a continuation.
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "runtime/base/status_macros.h"
#include "runtime/cli/client_session.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/report.h"
#include "runtime/cli/result_json.h"
#include "runtime/serving/process.h"

namespace blockserve {
namespace {

struct ScoreFlags {
  ClientFlags client;
  std::string context, context_ids, continuation, continuation_ids;
  int top_logprobs = 0;
  bool json = false;
};

absl::StatusOr<v1::ScoreRequest> MakeRequest(const ScoreFlags& flags) {
  if (flags.context.empty() == flags.context_ids.empty()) {
    return absl::InvalidArgumentError(
        "expected one of --context=TEXT and --context_ids=1,2,3, not empty");
  }
  if (flags.continuation.empty() == flags.continuation_ids.empty()) {
    return absl::InvalidArgumentError(
        "expected one of --continuation=TEXT and --continuation_ids=1,2,3, "
        "not empty");
  }
  v1::ScoreRequest request;
  if (flags.context_ids.empty()) {
    request.set_context_text(flags.context);
  } else {
    ASSIGN_OR_RETURN(const std::vector<uint32_t> ids,
                     ParseIds(flags.context_ids));
    request.mutable_context_ids()->mutable_ids()->Add(ids.begin(), ids.end());
  }
  if (flags.continuation_ids.empty()) {
    request.set_continuation_text(flags.continuation);
  } else {
    ASSIGN_OR_RETURN(const std::vector<uint32_t> ids,
                     ParseIds(flags.continuation_ids));
    request.mutable_continuation_ids()->mutable_ids()->Add(ids.begin(),
                                                           ids.end());
  }
  request.set_top_logprobs(flags.top_logprobs);
  return request;
}

int Score(const ScoreFlags& flags) {
  absl::StatusOr<v1::ScoreRequest> request = MakeRequest(flags);
  if (!request.ok()) return ReportBadFlag(request.status().message());
  auto session = ClientSession::Open(flags.client);
  if (!session.ok()) return ReportError(session.status());
  grpc::ClientContext context;
  (*session)->Configure(context);
  v1::ScoreResponse response;
  const grpc::Status status =
      (*session)->stub().Score(&context, *request, &response);
  if (!status.ok()) return ReportError(status);

  if (flags.json) {
    nlohmann::json json = {{"total_logprob", response.total_logprob()},
                           {"is_greedy", response.is_greedy()},
                           {"logprobs", nlohmann::json::array()}};
    for (const v1::TokenLogprob& logprob : response.logprobs()) {
      json["logprobs"].push_back(LogprobToJson(logprob));
    }
    std::cout << json.dump(-1, ' ', false,
                           nlohmann::json::error_handler_t::replace)
              << std::endl;
    return kExitOk;
  }
  for (const v1::TokenLogprob& logprob : response.logprobs()) {
    std::cout << absl::StrFormat(
        "%10.5f  %6d  %s\n", logprob.logprob(), logprob.token_id(),
        nlohmann::json(logprob.token())
            .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  std::cout << absl::StrFormat("%10.5f  total, greedy: %s\n",
                               response.total_logprob(),
                               response.is_greedy() ? "yes" : "no");
  return kExitOk;
}

}  // namespace

void AddScoreCommand(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<ScoreFlags>();
  CLI::App* command = app.add_subcommand(
      "score", "Log-probabilities of a continuation after a context");
  AddClientFlags(*command, flags->client);
  command->add_option("--context", flags->context, "Text before");
  command->add_option("--context_ids", flags->context_ids,
                      "Token ids before, 1,2,3");
  command->add_option("--continuation", flags->continuation, "Scored text");
  command->add_option("--continuation_ids", flags->continuation_ids,
                      "Scored token ids, 1,2,3");
  command
      ->add_option("--top_logprobs", flags->top_logprobs,
                   "Alternatives per token")
      ->capture_default_str()
      ->check(CLI::Range(0, 20));
  command->add_flag("--json", flags->json, "Print one JSON object");
  command->callback([flags, &exit_code] { exit_code = Score(*flags); });
}

}  // namespace blockserve
