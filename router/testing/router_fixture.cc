#include "router/testing/router_fixture.h"

#include <prometheus/text_serializer.h>

#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "router/testing/byte_tokenizer.h"

namespace blockserve {
namespace {

template <typename Condition>
bool Poll(Condition condition) {
  const absl::Time give_up = absl::Now() + absl::Seconds(10);
  while (!condition()) {
    if (absl::Now() > give_up) return false;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return true;
}

}  // namespace

std::string ReasonOf(const grpc::Status& status) {
  const auto info = FindDetail<google::rpc::ErrorInfo>(status);
  return info.has_value() ? info->reason() : "";
}

std::string TrailerOf(const grpc::ClientContext& context,
                      const std::string& key) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto it = trailers.find(key);
  return it == trailers.end()
             ? ""
             : std::string(it->second.data(), it->second.size());
}

void RouterFixture::StreamResult::Add(
    const v1::GenerateStreamResponse& message) {
  token_ids.insert(token_ids.end(), message.token_ids().begin(),
                   message.token_ids().end());
  text.append(message.text_delta());
  messages.push_back(message);
}

FakeWorker& RouterFixture::AddWorker(FakeTokenFunction token) {
  workers_.push_back(std::make_unique<FakeWorker>(std::move(token)));
  return *workers_.back();
}

void RouterFixture::StartRouter(std::function<void(RouterOptions*)> edit,
                                bool with_tokenizer) {
  RouterOptions options;
  options.server.address = "127.0.0.1:0";
  options.metrics_address = "127.0.0.1:0";
  options.random_seed = 42;
  options.fleet.client.reconnect.backoff = {absl::Milliseconds(5),
                                            absl::Milliseconds(20)};
  for (const auto& worker : workers_) {
    options.fleet.addresses.push_back(worker->address());
  }
  if (edit) edit(&options);
  auto router = Router::Start(
      options, with_tokenizer ? std::make_unique<ByteTokenizer>() : nullptr);
  ASSERT_TRUE(router.ok()) << router.status();
  router_ = *std::move(router);
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  channel_ =
      grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", router_->port()),
                                grpc::InsecureChannelCredentials(), arguments);
  stub_ = v1::InferenceService::NewStub(channel_);
  ASSERT_TRUE(WaitForHealthy(static_cast<int>(workers_.size())));
}

bool RouterFixture::WaitForHealthy(int count) {
  return Poll([&] { return router_->fleet().num_healthy() == count; });
}

bool RouterFixture::WaitUntilIdle() {
  return Poll([&] {
    return router_->admission().num_outstanding() == 0 &&
           router_->admission().waiting_prompt_tokens() == 0;
  });
}

v1::GenerateRequest RouterFixture::IdsRequest(const std::vector<uint32_t>& ids,
                                              int max_tokens) {
  v1::GenerateRequest request;
  request.mutable_input_ids()->mutable_ids()->Add(ids.begin(), ids.end());
  request.mutable_sampling_params()->set_max_tokens(max_tokens);
  request.mutable_sampling_params()->set_seed(7);
  return request;
}

v1::GenerateRequest RouterFixture::TextRequest(const std::string& text,
                                               int max_tokens) {
  v1::GenerateRequest request;
  request.set_text(text);
  request.mutable_sampling_params()->set_max_tokens(max_tokens);
  return request;
}

v1::GenerateStreamRequest RouterFixture::ToStream(
    const v1::GenerateRequest& request) {
  // The fields that both have carry the same numbers.
  v1::GenerateStreamRequest stream;
  stream.ParseFromString(request.SerializeAsString());
  return stream;
}

grpc::Status RouterFixture::Generate(const v1::GenerateRequest& request,
                                     v1::GenerateResponse* response) {
  grpc::ClientContext context;
  return stub_->Generate(&context, request, response);
}

RouterFixture::StreamResult RouterFixture::Stream(
    const v1::GenerateStreamRequest& request) {
  grpc::ClientContext context;
  return ReadAll(*stub_->GenerateStream(&context, request));
}

RouterFixture::StreamResult RouterFixture::ReadAll(
    grpc::ClientReaderInterface<v1::GenerateStreamResponse>& reader) {
  StreamResult result;
  v1::GenerateStreamResponse message;
  while (reader.Read(&message)) {
    result.Add(message);
  }
  result.status = reader.Finish();
  return result;
}

std::unique_ptr<grpc::ClientReader<v1::GenerateStreamResponse>>
RouterFixture::Start(grpc::ClientContext* context, int max_tokens) {
  return stub_->GenerateStream(context,
                               ToStream(IdsRequest({1, 2, 3}, max_tokens)));
}

std::pair<FakeWorker*, FakeWorker*> RouterFixture::HolderAndOther() {
  while (true) {
    for (int i = 0; i < 2; ++i) {
      if (workers_[i]->num_active() > 0) {
        return {workers_[i].get(), workers_[1 - i].get()};
      }
    }
    std::this_thread::yield();
  }
}

void RouterFixture::HoldAll(bool hold) {
  for (auto& worker : workers_) worker->Hold(hold);
}

std::string RouterFixture::MetricsText() const {
  return prometheus::TextSerializer().Serialize(
      router_->metrics().registry()->Collect());
}

bool RouterFixture::WaitForMetric(const std::string& line) {
  return Poll([&] {
    return absl::StrContains(absl::StrCat("\n", MetricsText()),
                             absl::StrCat("\n", line, "\n"));
  });
}

std::vector<uint32_t> ExpectedTokens(const std::vector<uint32_t>& prompt,
                                     uint64_t seed, int count) {
  worker::v1::GenerateCommand command;
  command.mutable_prompt_ids()->Add(prompt.begin(), prompt.end());
  command.mutable_sampling_params()->set_seed(seed);
  std::vector<uint32_t> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back(HashedToken(command, i));
  return tokens;
}

}  // namespace blockserve
