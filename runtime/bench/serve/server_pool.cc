#include "runtime/bench/serve/server_pool.h"

#include <google/protobuf/util/message_differencer.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

using Stub = v1::InferenceService::Stub;

std::unique_ptr<Stub> Dial(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  // Else channels to one address share one connection.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return v1::InferenceService::NewStub(grpc::CreateCustomChannel(
      address, grpc::InsecureChannelCredentials(), arguments));
}

absl::StatusOr<v1::Model> AskForModel(Stub& stub, const std::string& address,
                                      absl::Duration timeout) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  v1::GetModelResponse response;
  const grpc::Status status =
      stub.GetModel(&context, v1::GetModelRequest(), &response);
  if (!status.ok()) {
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                        absl::StrCat(address, ": ", status.error_message()));
  }
  if (response.model().vocab_size() < 1) {
    return absl::InternalError(
        absl::StrCat(address, ": expected a model with a vocabulary, got ",
                     response.model().ShortDebugString()));
  }
  return response.model();
}

bool IsSameModel(v1::Model one, const v1::Model& other) {
  one.set_worker_count(other.worker_count());
  return google::protobuf::util::MessageDifferencer::Equals(one, other);
}

}  // namespace

absl::StatusOr<ServerPool> ServerPool::Connect(
    absl::Span<const std::string> addresses, int channels_per_server,
    absl::Duration timeout) {
  ServerPool pool;
  for (int channel = 0; channel < channels_per_server; ++channel) {
    for (const std::string& address : addresses) {
      pool.stubs_.push_back(Dial(address));
      // On every channel: connecting is no part of what is measured.
      ASSIGN_OR_RETURN(const v1::Model model,
                       AskForModel(*pool.stubs_.back(), address, timeout));
      if (channel > 0) continue;
      if (pool.stubs_.size() == 1) {
        pool.model_ = model;
      } else if (IsSameModel(model, pool.model_)) {
        pool.model_.set_worker_count(pool.model_.worker_count() +
                                     model.worker_count());
      } else {
        return absl::InvalidArgumentError(
            absl::StrCat("expected servers of one model, but ", addresses[0],
                         " has ", pool.model_.ShortDebugString(), " and ",
                         address, " ", model.ShortDebugString()));
      }
    }
  }
  return pool;
}

}  // namespace blockserve
