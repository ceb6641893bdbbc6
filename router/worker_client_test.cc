#include "router/worker_client.h"

#include <gtest/gtest.h>

#include <vector>

#include "absl/time/clock.h"
#include "router/shared_work.h"
#include "router/testing/fake_worker.h"
#include "runtime/base/monotonic_clock.h"

namespace blockserve {
namespace {

class RecordingListener : public WorkerConnectionListener {
 public:
  absl::Status OnIdentity(
      int, const worker::v1::GetIdentityResponse& identity) override {
    absl::MutexLock lock(&mutex_);
    instances_.push_back(identity.instance_id());
    return refusal_;
  }
  void OnLoad(int, const worker::v1::WatchLoadResponse& load) override {
    absl::MutexLock lock(&mutex_);
    up_ = true;
    last_load_ = load;
  }
  void OnReadiness(int, bool ready) override {
    absl::MutexLock lock(&mutex_);
    ready_ = ready;
  }
  void OnDown(int, const absl::Status& why) override {
    absl::MutexLock lock(&mutex_);
    up_ = false;
    downs_.push_back(why);
  }

  bool up() {
    absl::MutexLock lock(&mutex_);
    return up_;
  }
  bool ready() {
    absl::MutexLock lock(&mutex_);
    return ready_;
  }
  std::vector<absl::Status> downs() {
    absl::MutexLock lock(&mutex_);
    return downs_;
  }
  std::vector<std::string> instances() {
    absl::MutexLock lock(&mutex_);
    return instances_;
  }
  void Refuse(absl::Status status) {
    absl::MutexLock lock(&mutex_);
    refusal_ = status;
  }

 private:
  absl::Mutex mutex_;
  bool ready_ ABSL_GUARDED_BY(mutex_) = true;
  bool up_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
  worker::v1::WatchLoadResponse last_load_ ABSL_GUARDED_BY(mutex_);
  std::vector<absl::Status> downs_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> instances_ ABSL_GUARDED_BY(mutex_);
};

class RecordingHandler : public WorkerRequestHandler {
 public:
  void OnEvent(const worker::v1::RequestEvent& event) override {
    absl::MutexLock lock(&mutex_);
    num_tokens_ += event.token_ids_size();
    if (event.has_done()) ++num_ends_;
  }
  void OnLost(const absl::Status&) override {
    absl::MutexLock lock(&mutex_);
    ++num_losses_;
  }
  int num_tokens() {
    absl::MutexLock lock(&mutex_);
    return num_tokens_;
  }
  int num_ends() {
    absl::MutexLock lock(&mutex_);
    return num_ends_;
  }
  int num_losses() {
    absl::MutexLock lock(&mutex_);
    return num_losses_;
  }

 private:
  absl::Mutex mutex_;
  int num_tokens_ ABSL_GUARDED_BY(mutex_) = 0;
  int num_ends_ ABSL_GUARDED_BY(mutex_) = 0;
  int num_losses_ ABSL_GUARDED_BY(mutex_) = 0;
};

worker::v1::ExecuteRequest Command(const std::string& id, int max_tokens) {
  worker::v1::ExecuteRequest command;
  command.mutable_generate()->set_request_id(id);
  command.mutable_generate()->add_prompt_ids(1);
  command.mutable_generate()->mutable_sampling_params()->set_max_tokens(
      max_tokens);
  return command;
}

class WorkerClientTest : public testing::Test {
 protected:
  void Connect(WorkerClientOptions options = {}) {
    options.session.address = worker_.address();
    options.session.shared_work = &shared_work_;
    options.reconnect.backoff = {absl::Milliseconds(2), absl::Milliseconds(10)};
    client_ = std::make_unique<WorkerClient>(0, options, &listener_);
  }
  // Ticks until `condition`; false after ten seconds.
  template <typename Condition>
  bool TickUntil(Condition condition) {
    const absl::Time give_up = absl::Now() + absl::Seconds(10);
    while (!condition()) {
      if (absl::Now() > give_up) return false;
      client_->Tick(MonotonicNow(), 0);
      absl::SleepFor(absl::Milliseconds(1));
    }
    return true;
  }
  bool TickUntilUp() {
    return TickUntil([&] { return listener_.up(); });
  }

  FakeWorker worker_;
  RecordingListener listener_;
  std::shared_ptr<RecordingHandler> handler_ =
      std::make_shared<RecordingHandler>();
  SharedWork shared_work_;
  std::unique_ptr<WorkerClient> client_;
};

TEST_F(WorkerClientTest, CannotStartRequestsBeforeItIsConnected) {
  Connect();
  EXPECT_FALSE(client_->StartRequest("a", Command("a", 4), handler_));
}

TEST_F(WorkerClientTest, MultiplexesRequests) {
  Connect();
  ASSERT_TRUE(TickUntilUp());
  worker_.Hold(true);
  auto other = std::make_shared<RecordingHandler>();
  ASSERT_TRUE(client_->StartRequest("a", Command("a", 6), handler_));
  ASSERT_TRUE(client_->StartRequest("b", Command("b", 4), other));
  ASSERT_TRUE(worker_.WaitForActive(2));
  worker_.Step();
  worker_.Step();
  ASSERT_TRUE(TickUntil(
      [&] { return handler_->num_ends() == 1 && other->num_ends() == 1; }));
  EXPECT_EQ(handler_->num_tokens(), 6);
  EXPECT_EQ(other->num_tokens(), 4);
}

TEST_F(WorkerClientTest, CancelAbortsAtTheWorkerAndSilencesIt) {
  Connect();
  ASSERT_TRUE(TickUntilUp());
  worker_.Hold(true);
  ASSERT_TRUE(client_->StartRequest("a", Command("a", 100), handler_));
  ASSERT_TRUE(worker_.WaitForActive(1));
  client_->CancelRequest("a");
  ASSERT_TRUE(worker_.WaitForActive(0));
  EXPECT_EQ(worker_.num_aborts(), 1);
  client_.reset();
  EXPECT_EQ(handler_->num_ends(), 0);
  EXPECT_EQ(handler_->num_losses(), 0);
}

TEST_F(WorkerClientTest, BrokenStreamLosesItsRequestsAndReconnects) {
  Connect();
  ASSERT_TRUE(TickUntilUp());
  worker_.Hold(true);
  ASSERT_TRUE(client_->StartRequest("a", Command("a", 100), handler_));
  ASSERT_TRUE(worker_.WaitForActive(1));
  worker_.BreakStreams();
  ASSERT_TRUE(TickUntil([&] { return handler_->num_losses() == 1; }));
  ASSERT_TRUE(TickUntil([&] { return listener_.instances().size() == 2; }));
  ASSERT_TRUE(TickUntilUp());
  worker_.Hold(false);
  auto next = std::make_shared<RecordingHandler>();
  ASSERT_TRUE(TickUntil(
      [&] { return client_->StartRequest("b", Command("b", 4), next); }));
  EXPECT_TRUE(TickUntil([&] { return next->num_ends() == 1; }));
  EXPECT_EQ(handler_->num_losses(), 1);
}

TEST_F(WorkerClientTest, FindsARestartedWorker) {
  Connect();
  ASSERT_TRUE(TickUntilUp());
  worker_.Kill();
  ASSERT_TRUE(TickUntil([&] { return listener_.downs().size() >= 3; }));
  worker_.Restart();
  ASSERT_TRUE(TickUntilUp());
  EXPECT_EQ(listener_.instances().back(), "fake-1+");
}

TEST_F(WorkerClientTest, AsksRefusedWorkersAgain) {
  Connect();
  listener_.Refuse(absl::FailedPreconditionError("not this one"));
  ASSERT_TRUE(TickUntil([&] { return listener_.downs().size() >= 2; }));
  EXPECT_EQ(listener_.downs()[0].message(), "not this one");
  listener_.Refuse(absl::OkStatus());
  EXPECT_TRUE(TickUntilUp());
}

TEST_F(WorkerClientTest, GivesUpAWorkerThatMakesNoStep) {
  WorkerClientOptions options;
  options.session.stall_timeout = absl::Milliseconds(30);
  Connect(options);
  ASSERT_TRUE(TickUntilUp());
  worker_.Hold(true);
  ASSERT_TRUE(client_->StartRequest("a", Command("a", 100), handler_));
  ASSERT_TRUE(TickUntil([&] { return handler_->num_losses() == 1; }));
  EXPECT_EQ(listener_.downs()[0].code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(WorkerClientTest, LosesRequestsWhenDestroyed) {
  Connect();
  ASSERT_TRUE(TickUntilUp());
  worker_.Hold(true);
  ASSERT_TRUE(client_->StartRequest("a", Command("a", 100), handler_));
  client_.reset();
  EXPECT_EQ(handler_->num_losses(), 1);
  EXPECT_TRUE(worker_.WaitForActive(0));
}

}  // namespace
}  // namespace blockserve
