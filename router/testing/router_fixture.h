// A router over fake workers, and a client of it.
#ifndef BLOCKSERVE_ROUTER_TESTING_ROUTER_FIXTURE_H_
#define BLOCKSERVE_ROUTER_TESTING_ROUTER_FIXTURE_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "blockserve/v1/generation.grpc.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "router/router.h"
#include "router/testing/fake_worker.h"

namespace blockserve {

// The first detail of this type in a status.
template <typename Message>
std::optional<Message> FindDetail(const grpc::Status& status) {
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return std::nullopt;
  for (const auto& any : details.details()) {
    Message message;
    if (any.UnpackTo(&message)) return message;
  }
  return std::nullopt;
}

// ErrorInfo.reason; empty if there is none.
std::string ReasonOf(const grpc::Status& status);
// The value of a trailing metadata key; empty if there is none.
std::string TrailerOf(const grpc::ClientContext& context,
                      const std::string& key);

class RouterFixture : public testing::Test {
 protected:
  struct StreamResult {
    void Add(const v1::GenerateStreamResponse& message);

    grpc::Status status;
    std::vector<v1::GenerateStreamResponse> messages;
    std::vector<uint32_t> token_ids;
    std::string text;
  };

  // Adds a worker to those the next StartRouter knows.
  FakeWorker& AddWorker(FakeTokenFunction token = &HashedToken);
  // Starts the router on free ports with a ByteTokenizer, short waits and what
  // `edit` changes, and waits until all workers are healthy.
  void StartRouter(std::function<void(RouterOptions*)> edit = nullptr,
                   bool with_tokenizer = true);
  bool WaitForHealthy(int count);
  // No request is left in the router: waits a little, since a call's last word
  // may reach the client before the books are closed.
  bool WaitUntilIdle();

  static v1::GenerateRequest IdsRequest(const std::vector<uint32_t>& ids,
                                        int max_tokens);
  static v1::GenerateRequest TextRequest(const std::string& text,
                                         int max_tokens);
  static v1::GenerateStreamRequest ToStream(const v1::GenerateRequest& request);

  grpc::Status Generate(const v1::GenerateRequest& request,
                        v1::GenerateResponse* response);
  StreamResult Stream(const v1::GenerateStreamRequest& request);
  // Reads to the end.
  static StreamResult ReadAll(
      grpc::ClientReaderInterface<v1::GenerateStreamResponse>& reader);

  // Starts a stream on workers that hold.
  std::unique_ptr<grpc::ClientReader<v1::GenerateStreamResponse>> Start(
      grpc::ClientContext* context, int max_tokens = 40);
  // The worker of the two that has the request, and the other.
  std::pair<FakeWorker*, FakeWorker*> HolderAndOther();
  void HoldAll(bool hold);

  v1::InferenceService::Stub& stub() { return *stub_; }
  std::string MetricsText() const;
  // Until MetricsText has the line.
  bool WaitForMetric(const std::string& line);

  std::vector<std::unique_ptr<FakeWorker>> workers_;
  std::unique_ptr<Router> router_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::InferenceService::Stub> stub_;
};

// What HashedToken makes of a request with this prompt and seed.
std::vector<uint32_t> ExpectedTokens(const std::vector<uint32_t>& prompt,
                                     uint64_t seed, int count);

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_TESTING_ROUTER_FIXTURE_H_
