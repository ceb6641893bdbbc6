#include "router/served_model.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace blockserve {

absl::StatusOr<ServedModel> ServedModel::FromIdentity(
    const worker::v1::GetIdentityResponse& identity) {
  if (identity.protocol_version() != kWorkerProtocolVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("worker protocol version ", kWorkerProtocolVersion,
                     " expected, got ", identity.protocol_version()));
  }
  if (identity.model_name().empty() || identity.block_length() < 1 ||
      identity.vocab_size() < 1 || identity.context_length() < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a model name and positive sizes expected, got model \"",
        identity.model_name(), "\", block_length ", identity.block_length(),
        ", vocab_size ", identity.vocab_size(), ", context_length ",
        identity.context_length()));
  }
  ServedModel model;
  model.name = identity.model_name();
  model.family = identity.family();
  model.block_length = identity.block_length();
  model.vocab_size = identity.vocab_size();
  model.context_length = identity.context_length();
  model.bos_token_id = identity.bos_token_id();
  model.eos_token_id = identity.eos_token_id();
  model.parameter_count = identity.parameter_count();
  model.dtype = identity.dtype();
  model.backend = identity.backend();
  return model;
}

bool ServedModel::SameModel(const ServedModel& other) const {
  return name == other.name && family == other.family &&
         block_length == other.block_length && vocab_size == other.vocab_size &&
         context_length == other.context_length &&
         bos_token_id == other.bos_token_id &&
         eos_token_id == other.eos_token_id &&
         parameter_count == other.parameter_count;
}

v1::Model ServedModel::ToProto(int worker_count) const {
  v1::Model model;
  model.set_name(name);
  model.set_family(family);
  model.set_block_length(block_length);
  model.set_vocab_size(vocab_size);
  model.set_context_length(context_length);
  model.set_bos_token_id(bos_token_id);
  model.set_eos_token_id(eos_token_id);
  model.set_parameter_count(parameter_count);
  model.set_dtype(dtype);
  model.set_backend(backend);
  model.set_worker_count(worker_count);
  return model;
}

}  // namespace blockserve
