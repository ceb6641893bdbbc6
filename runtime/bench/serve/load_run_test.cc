// Against servers in this process that write what the test tells them to.
#include "runtime/bench/serve/load_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <latch>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "runtime/base/monotonic_clock.h"

namespace blockserve {
namespace {

constexpr int kVocabSize = 64;
constexpr int kBlockLength = 4;

// Answers a request with as many tokens as it asks for, four a message.
class FakeServer : public v1::InferenceService::Service {
 public:
  // Asked first for every request; what is not OK ends it.
  using Gate =
      std::function<grpc::Status(const v1::GenerateStreamRequest& request)>;

  explicit FakeServer(Gate gate = nullptr) : gate_(std::move(gate)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeServer() override { server_->Shutdown(); }

  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  int num_requests() const { return num_requests_; }
  int max_running() const { return max_running_; }
  void set_extra_tokens(int extra) { extra_tokens_ = extra; }
  void set_model_name(const std::string& name) { model_name_ = name; }

 private:
  grpc::Status GetModel(grpc::ServerContext*, const v1::GetModelRequest*,
                        v1::GetModelResponse* response) override {
    response->mutable_model()->set_name(model_name_);
    response->mutable_model()->set_vocab_size(kVocabSize);
    response->mutable_model()->set_worker_count(1);
    return grpc::Status::OK;
  }

  grpc::Status GenerateStream(
      grpc::ServerContext*, const v1::GenerateStreamRequest* request,
      grpc::ServerWriter<v1::GenerateStreamResponse>* writer) override {
    ++num_requests_;
    const int running = ++num_running_;
    int seen = max_running_;
    while (running > seen &&
           !max_running_.compare_exchange_weak(seen, running)) {
    }
    const grpc::Status status = gate_ ? gate_(*request) : grpc::Status::OK;
    if (status.ok()) Write(*request, *writer);
    --num_running_;
    return status;
  }

  void Write(const v1::GenerateStreamRequest& request,
             grpc::ServerWriter<v1::GenerateStreamResponse>& writer) const {
    int left = request.sampling_params().max_tokens() + extra_tokens_;
    while (left > 0) {
      v1::GenerateStreamResponse response;
      const int count = std::min(left, kBlockLength);
      for (int i = 0; i < count; ++i) response.add_token_ids(1);
      left -= count;
      if (left == 0) response.set_migration_count(1);
      writer.Write(response);
    }
  }

  const Gate gate_;
  std::atomic<int> num_requests_ = 0;
  std::atomic<int> num_running_ = 0;
  std::atomic<int> max_running_ = 0;
  std::atomic<int> extra_tokens_ = 0;
  std::string model_name_ = "fake";
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

ServerPool Connect(const std::vector<std::string>& addresses) {
  auto pool = ServerPool::Connect(addresses, /*channels_per_server=*/2,
                                  absl::Seconds(10));
  EXPECT_TRUE(pool.ok()) << pool.status();
  return *std::move(pool);
}

LoadOptions Options(int num_requests) {
  LoadOptions options;
  options.shape = {.prompt_tokens = 8, .max_tokens = 10};
  options.num_requests = num_requests;
  options.concurrency = 4;
  options.timeout = absl::Seconds(20);
  return options;
}

TEST(LoadRunTest, NotesTokensAndChunksOfEveryRequest) {
  FakeServer server;
  const LoadResult result = RunLoad(Options(30), Connect({server.address()}));
  ASSERT_EQ(result.samples.size(), 30u);
  for (const RequestSample& sample : result.samples) {
    EXPECT_TRUE(sample.completed()) << sample.error;
    EXPECT_EQ(sample.input_tokens, 8);
    EXPECT_EQ(sample.output_tokens, 10);
    EXPECT_EQ(sample.first_chunk_tokens, 4);
    EXPECT_EQ(sample.itl_ms.size(), 2u);
    EXPECT_EQ(sample.migrations, 1);
    EXPECT_GE(sample.ttft_ms, sample.send_lag_ms);
    EXPECT_GE(sample.e2el_ms + 1e-3,
              sample.ttft_ms + sample.itl_ms[0] + sample.itl_ms[1]);
  }
  EXPECT_GT(result.cpu_seconds, 0);
}

TEST(LoadRunTest, AClosedLoopHasSoManyAtOnceAndNoMore) {
  // The first four are let go when all of them have come.
  std::latch first(4);
  std::atomic<int> num_come = 0;
  FakeServer server([&](const v1::GenerateStreamRequest&) {
    if (++num_come <= 4) first.arrive_and_wait();
    return grpc::Status::OK;
  });
  RunLoad(Options(40), Connect({server.address()}));
  EXPECT_EQ(server.max_running(), 4);
}

TEST(LoadRunTest, AnOpenLoopWaitsForNoAnswer) {
  constexpr int kNumRequests = 10;
  std::latch all(kNumRequests);
  FakeServer server([&](const v1::GenerateStreamRequest&) {
    all.arrive_and_wait();
    return grpc::Status::OK;
  });
  LoadOptions options = Options(kNumRequests);
  options.concurrency = 0;
  options.arrivals = {.rate = 1000, .seed = 4};
  const LoadResult result = RunLoad(options, Connect({server.address()}));
  const auto schedule = ScheduleArrivals(options.arrivals, kNumRequests);
  for (int i = 0; i < kNumRequests; ++i) {
    EXPECT_TRUE(result.samples[i].completed());
    // Latency counts from the schedule, not from the sending.
    EXPECT_NEAR(
        result.samples[i].start_seconds - result.samples[0].start_seconds,
        absl::ToDoubleSeconds(schedule[i]), 1e-5);
    EXPECT_GE(result.samples[i].send_lag_ms, 0);
  }
}

TEST(LoadRunTest, WarmUpIsSentButNotReported) {
  FakeServer server;
  LoadOptions options = Options(5);
  options.num_warmup = 7;
  const LoadResult result = RunLoad(options, Connect({server.address()}));
  EXPECT_EQ(result.samples.size(), 5u);
  EXPECT_EQ(server.num_requests(), 12);
}

TEST(LoadRunTest, ServersTakeTurns) {
  FakeServer one;
  FakeServer two;
  const ServerPool pool = Connect({one.address(), two.address()});
  EXPECT_EQ(pool.model().worker_count(), 2);
  RunLoad(Options(10), pool);
  EXPECT_EQ(one.num_requests(), 5);
  EXPECT_EQ(two.num_requests(), 5);
}

TEST(LoadRunTest, FailuresKeepTheirCode) {
  std::atomic<int> num_come = 0;
  FakeServer server([&](const v1::GenerateStreamRequest&) {
    return ++num_come % 2 == 0
               ? grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full")
               : grpc::Status::OK;
  });
  const LoadResult result = RunLoad(Options(10), Connect({server.address()}));
  std::multiset<std::string> errors;
  for (const RequestSample& sample : result.samples) {
    errors.insert(sample.error);
  }
  EXPECT_EQ(errors.count("RESOURCE_EXHAUSTED"), 5u);
  EXPECT_EQ(errors.count(""), 5u);
}

TEST(LoadRunTest, AnAnswerOfTheWrongLengthIsAFailure) {
  FakeServer server;
  server.set_extra_tokens(-1);
  const LoadResult result = RunLoad(Options(1), Connect({server.address()}));
  EXPECT_EQ(result.samples[0].error, kWrongLength);
}

TEST(LoadRunTest, RequestsThatHangEndAtTheTimeout) {
  absl::Notification done;
  FakeServer server([&](const v1::GenerateStreamRequest&) {
    done.WaitForNotification();
    return grpc::Status::OK;
  });
  LoadOptions options = Options(2);
  options.timeout = absl::Milliseconds(50);
  const LoadResult result = RunLoad(options, Connect({server.address()}));
  done.Notify();
  EXPECT_EQ(result.samples[0].error, "DEADLINE_EXCEEDED");
  EXPECT_EQ(result.samples[1].error, "DEADLINE_EXCEEDED");
}

TEST(ServerPoolTest, NamesTheServerThatIsNotThere) {
  FakeServer server;
  const auto pool = ServerPool::Connect({server.address(), "127.0.0.1:1"}, 1,
                                        absl::Seconds(10));
  EXPECT_EQ(pool.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(pool.status().message().find("127.0.0.1:1: "), 0u) << pool.status();
}

TEST(ServerPoolTest, RefusesServersOfDifferentModels) {
  FakeServer one;
  FakeServer two;
  two.set_model_name("other");
  const auto pool =
      ServerPool::Connect({one.address(), two.address()}, 1, absl::Seconds(10));
  EXPECT_EQ(pool.status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace blockserve
