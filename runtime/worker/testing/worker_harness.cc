#include "runtime/worker/testing/worker_harness.h"

#include <glog/logging.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"

namespace blockserve {

void ClientStream::Generate(const std::string& id, std::vector<uint32_t> prompt,
                            int max_tokens) {
  worker::v1::ExecuteRequest request;
  worker::v1::GenerateCommand& command = *request.mutable_generate();
  command.set_request_id(id);
  command.mutable_prompt_ids()->Add(prompt.begin(), prompt.end());
  worker::v1::TokenSamplingParams& params = *command.mutable_sampling_params();
  params.set_temperature(0);
  params.set_top_p(1);
  params.set_repetition_penalty(1);
  params.set_max_tokens(max_tokens);
  params.set_logprobs(-1);
  params.set_ignore_eos(true);
  CHECK(Send(request));
}

void ClientStream::Abort(const std::string& id) {
  worker::v1::ExecuteRequest request;
  request.mutable_abort()->set_request_id(id);
  CHECK(Send(request));
}

bool ClientStream::ReadFrame() {
  worker::v1::ExecuteResponse frame;
  if (!stream_->Read(&frame)) return false;
  ++num_frames;
  for (const worker::v1::RequestEvent& event : frame.events()) {
    RequestRecord& record = records[event.request_id()];
    CHECK(!record.is_done) << "an event after the end";
    ++record.num_events;
    record.tokens.insert(record.tokens.end(), event.token_ids().begin(),
                         event.token_ids().end());
    record.logprobs.insert(record.logprobs.end(), event.logprobs().begin(),
                           event.logprobs().end());
    if (event.has_done()) {
      record.is_done = true;
      record.done = event.done();
    }
  }
  return true;
}

const RequestRecord& ClientStream::ReadDone(const std::string& id) {
  while (!records[id].is_done) CHECK(ReadFrame()) << id << " has no end";
  return records[id];
}

const RequestRecord& ClientStream::ReadTokens(const std::string& id,
                                              size_t num_tokens) {
  while (records[id].tokens.size() < num_tokens) {
    CHECK(ReadFrame()) << id << " has too few tokens";
  }
  return records[id];
}

WorkerHarness::WorkerHarness(Engine* engine, WorkerServiceOptions options)
    : metrics_(std::make_unique<WorkerMetrics>(registry_, "test")) {
  service_ =
      std::make_unique<WorkerService>(std::move(options), metrics_.get());
  auto server = GrpcServer::Start({.address = "127.0.0.1:0"}, {service_.get()});
  CHECK(server.ok()) << server.status();
  server_ = *std::move(server);
  if (engine != nullptr) service_->SetEngine(engine, TestIdentity());
  stub_ = worker::v1::WorkerService::NewStub(
      grpc::CreateChannel(absl::StrCat("127.0.0.1:", server_->port()),
                          grpc::InsecureChannelCredentials()));
}

WorkerHarness::~WorkerHarness() {
  service_->Drain(absl::Now());
  service_->Shutdown();
  server_->Shutdown(absl::Now() + absl::Seconds(5));
}

double WorkerHarness::Metric(const std::string& series) const {
  for (const prometheus::MetricFamily& family : registry_->Collect()) {
    for (const prometheus::ClientMetric& metric : family.metric) {
      std::vector<std::string> labels;
      for (const auto& label : metric.label) {
        if (label.name == "model_name") continue;
        labels.push_back(absl::StrCat(label.name, "=", label.value));
      }
      std::string name = family.name.substr(sizeof("blockserve_") - 1);
      if (!labels.empty()) {
        absl::StrAppend(&name, "{", absl::StrJoin(labels, ","), "}");
      }
      if (name != series) continue;
      switch (family.type) {
        case prometheus::MetricType::Counter:
          return metric.counter.value;
        case prometheus::MetricType::Histogram:
          return static_cast<double>(metric.histogram.sample_count);
        default:
          return metric.gauge.value;
      }
    }
  }
  return -1;
}

worker::v1::GetIdentityResponse TestIdentity() {
  worker::v1::GetIdentityResponse identity;
  identity.set_worker_id("w0");
  identity.set_instance_id("i0");
  identity.set_model_name("test");
  identity.set_family("block_transformer");
  identity.set_block_length(4);
  identity.set_vocab_size(1000);
  identity.set_context_length(2048);
  return identity;
}

}  // namespace blockserve
