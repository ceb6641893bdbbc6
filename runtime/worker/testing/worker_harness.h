// A WorkerService behind a real server, and a router's side of its streams.
#ifndef BLOCKSERVE_RUNTIME_WORKER_TESTING_WORKER_HARNESS_H_
#define BLOCKSERVE_RUNTIME_WORKER_TESTING_WORKER_HARNESS_H_

#include <grpcpp/grpcpp.h>
#include <prometheus/registry.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "blockserve/worker/v1/worker.grpc.pb.h"
#include "runtime/engine/engine.h"
#include "runtime/serving/grpc_server.h"
#include "runtime/worker/worker_service.h"

namespace blockserve {

// What a stream said about one request.
struct RequestRecord {
  std::vector<uint32_t> tokens;
  std::vector<worker::v1::TokenLogprobs> logprobs;
  int num_events = 0;
  bool is_done = false;
  worker::v1::Done done;
};

// One Execute stream, read and written by one thread.
class ClientStream {
 public:
  explicit ClientStream(worker::v1::WorkerService::Stub& stub)
      : stream_(stub.Execute(&context_)) {}
  ~ClientStream() { context_.TryCancel(); }

  bool Send(const worker::v1::ExecuteRequest& request) {
    return stream_->Write(request);
  }
  void Generate(const std::string& id, std::vector<uint32_t> prompt = {1, 2, 3},
                int max_tokens = 8);
  void Abort(const std::string& id);
  // Reads one frame into `records`; false at the end of the stream.
  bool ReadFrame();
  // Reads until the request is done, which has to come.
  const RequestRecord& ReadDone(const std::string& id);
  // Reads until it has so many tokens.
  const RequestRecord& ReadTokens(const std::string& id, size_t num_tokens);
  void HalfClose() { stream_->WritesDone(); }
  void Cancel() { context_.TryCancel(); }
  grpc::Status Finish() { return stream_->Finish(); }

  std::map<std::string, RequestRecord> records;
  int num_frames = 0;

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<worker::v1::ExecuteRequest,
                                           worker::v1::ExecuteResponse>>
      stream_;
};

class WorkerHarness {
 public:
  // `engine` must outlive this; null: not yet loaded.
  explicit WorkerHarness(Engine* engine, WorkerServiceOptions options = {});
  // The end in its order.
  ~WorkerHarness();

  WorkerService& service() { return *service_; }
  GrpcServer& server() { return *server_; }
  worker::v1::WorkerService::Stub& stub() { return *stub_; }
  WorkerMetrics& metrics() { return *metrics_; }
  // The value of a series as "name{label=value,...}", without the prefix and
  // model_name; histograms by their count. -1 if there is none.
  double Metric(const std::string& series) const;

 private:
  std::shared_ptr<prometheus::Registry> registry_ =
      std::make_shared<prometheus::Registry>();
  std::unique_ptr<WorkerMetrics> metrics_;
  std::unique_ptr<WorkerService> service_;
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<worker::v1::WorkerService::Stub> stub_;
};

// An identity as main makes it.
worker::v1::GetIdentityResponse TestIdentity();

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_TESTING_WORKER_HARNESS_H_
