// blockserve generate: streams a completion to standard output.
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "runtime/base/status_macros.h"
#include "runtime/cli/client_session.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/report.h"
#include "runtime/cli/result_json.h"
#include "runtime/cli/sampling_flags.h"
#include "runtime/serving/process.h"

namespace blockserve {
namespace {

struct GenerateFlags {
  ClientFlags client;
  SamplingFlags sampling;
  std::string prompt;
  std::string prompt_ids;
  bool json = false;
};

absl::StatusOr<v1::GenerateStreamRequest> MakeRequest(
    const GenerateFlags& flags) {
  v1::GenerateStreamRequest request;
  if (flags.prompt.empty() == flags.prompt_ids.empty()) {
    return absl::InvalidArgumentError(
        "expected one of --prompt=TEXT and --prompt_ids=1,2,3, not empty");
  }
  if (flags.prompt_ids.empty()) {
    request.set_text(flags.prompt);
  } else {
    ASSIGN_OR_RETURN(const std::vector<uint32_t> ids,
                     ParseIds(flags.prompt_ids));
    request.mutable_input_ids()->mutable_ids()->Add(ids.begin(), ids.end());
  }
  ASSIGN_OR_RETURN(*request.mutable_sampling_params(),
                   ToSamplingParams(flags.sampling));
  return request;
}

// What came in over the stream, joined per choice.
class Completions {
 public:
  void Add(const v1::GenerateStreamResponse& delta) {
    if (request_id_.empty()) request_id_ = delta.request_id();
    const absl::Time now = absl::Now();
    if (delta.token_ids_size() > 0) {
      if (num_tokens_ == 0) first_token_ = now;
      last_token_ = now;
      num_tokens_ += delta.token_ids_size();
      last_delta_tokens_ = delta.token_ids_size();
      if (first_delta_tokens_ == 0) first_delta_tokens_ = num_tokens_;
    }
    v1::Choice& choice = choices_[delta.index()];
    choice.set_index(delta.index());
    choice.mutable_text()->append(delta.text_delta());
    choice.mutable_token_ids()->MergeFrom(delta.token_ids());
    choice.mutable_logprobs()->MergeFrom(delta.logprobs());
    if (delta.finish_reason() == v1::FINISH_REASON_UNSPECIFIED) return;
    choice.set_finish_reason(delta.finish_reason());
    if (delta.has_matched_stop()) {
      *choice.mutable_matched_stop() = delta.matched_stop();
    }
    choice.set_seed(delta.seed());
    usage_ = delta.usage();
    timings_ = delta.timings();
  }

  int num_tokens() const { return num_tokens_; }
  absl::Duration elapsed() const { return absl::Now() - start_; }
  double TokensPerSecond() const {
    return num_tokens_ / std::max(1e-9, absl::ToDoubleSeconds(elapsed()));
  }
  absl::Duration first_token() const { return first_token_ - start_; }

  nlohmann::json ToJson() const {
    nlohmann::json json;
    json["request_id"] = request_id_;
    json["choices"] = nlohmann::json::array();
    for (const auto& [index, choice] : choices_) {
      json["choices"].push_back(ChoiceToJson(choice));
    }
    json["usage"] = {{"prompt_tokens", usage_.prompt_tokens()},
                     {"completion_tokens", num_tokens_},
                     {"cached_tokens", usage_.cached_tokens()}};
    json["seconds"] = absl::ToDoubleSeconds(elapsed());
    json["tokens_per_second"] = TokensPerSecond();
    return json;
  }

 private:
  std::map<int, v1::Choice> choices_;
  std::string request_id_;
  v1::Usage usage_;
  v1::Timings timings_;
  absl::Time start_ = absl::Now();
  absl::Time first_token_ = start_;
  absl::Time last_token_ = start_;
  int num_tokens_ = 0;
  int first_delta_tokens_ = 0;
  int last_delta_tokens_ = 0;
};

int Generate(const GenerateFlags& flags) {
  absl::StatusOr<v1::GenerateStreamRequest> request = MakeRequest(flags);
  if (!request.ok()) return ReportBadFlag(request.status().message());
  auto session = ClientSession::Open(flags.client);
  if (!session.ok()) return ReportError(session.status());

  // With several completions the deltas interleave: those are printed whole.
  const bool streaming = !flags.json && flags.sampling.n.value_or(1) == 1;
  grpc::ClientContext context;
  (*session)->Configure(context);
  Completions completions;
  auto reader = (*session)->stub().GenerateStream(&context, *request);
  v1::GenerateStreamResponse delta;
  bool begun = false;
  while (reader->Read(&delta)) {
    completions.Add(delta);
    if (!streaming) continue;
    if (!begun) std::cout << flags.prompt;
    begun = true;
    std::cout << delta.text_delta() << std::flush;
  }
  if (begun) std::cout << std::endl;
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return ReportError(status);

  const nlohmann::json json = completions.ToJson();
  if (flags.json) {
    std::cout << json.dump(-1, ' ', false,
                           nlohmann::json::error_handler_t::replace)
              << std::endl;
    return kExitOk;
  }
  if (!streaming) {
    for (const nlohmann::json& choice : json["choices"]) {
      std::cout << "[" << choice["index"] << "] " << flags.prompt
                << choice["text"].get<std::string>() << "\n";
    }
  }
  std::cerr << absl::StrFormat(
      "%d tokens in %.3f s: %.1f tokens/s, first after %.1f ms\n",
      completions.num_tokens(), absl::ToDoubleSeconds(completions.elapsed()),
      completions.TokensPerSecond(),
      absl::ToDoubleMilliseconds(completions.first_token()));
  return kExitOk;
}

}  // namespace

void AddGenerateCommand(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<GenerateFlags>();
  CLI::App* command =
      app.add_subcommand("generate", "Generate text and stream it");
  AddClientFlags(*command, flags->client);
  command->add_option("--prompt", flags->prompt, "Text to continue");
  command->add_option("--prompt_ids", flags->prompt_ids,
                      "Token ids to continue, 1,2,3; instead of --prompt");
  AddSamplingFlags(*command, flags->sampling);
  command->add_flag("--json", flags->json, "Print one JSON object at the end");
  command->callback([flags, &exit_code] { exit_code = Generate(*flags); });
}

}  // namespace blockserve
