#include "runtime/cli/client_session.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "runtime/base/status_macros.h"
#include "runtime/config/model_config_reader.h"

namespace blockserve {

void AddClientFlags(CLI::App& command, ClientFlags& flags) {
  command.add_option("--server", flags.server,
                     "HOST:PORT of a running server; instead of --model");
  AddServerFlags(command, flags.local, /*required=*/false);
  command
      .add_option("--timeout", flags.timeout_seconds,
                  "Seconds until the call is given up")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 86400.0));
}

absl::StatusOr<std::unique_ptr<ClientSession>> ClientSession::Open(
    const ClientFlags& flags) {
  if (flags.server.empty() == flags.local.model.empty()) {
    return absl::InvalidArgumentError(
        "expected one of --server=HOST:PORT and --model=DIR");
  }
  auto session = std::unique_ptr<ClientSession>(new ClientSession);
  session->timeout_seconds_ = flags.timeout_seconds;
  std::string address = flags.server;
  if (address.empty()) {
    // Says what is wrong with a directory before any process is started.
    RETURN_IF_ERROR(ReadModelConfig(flags.local.model).status());
    ServerProcessesOptions options = ToProcessesOptions(flags.local);
    options.host = "127.0.0.1";
    options.log_to_stderr = false;
    ASSIGN_OR_RETURN(session->processes_, ServerProcesses::Start(options));
    address = absl::StrCat("127.0.0.1:", session->processes_->port());
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(64 << 20);
  session->stub_ = v1::InferenceService::NewStub(grpc::CreateCustomChannel(
      address, grpc::InsecureChannelCredentials(), arguments));
  return session;
}

ClientSession::~ClientSession() {
  stub_.reset();
  if (processes_ != nullptr) {
    processes_->Stop(absl::Now() + absl::Seconds(5), [] { return false; });
    processes_.reset();
  }
}

void ClientSession::Configure(grpc::ClientContext& context) const {
  context.set_deadline(
      absl::ToChronoTime(absl::Now() + absl::Seconds(timeout_seconds_)));
}

absl::StatusOr<std::vector<uint32_t>> ParseIds(const std::string& text) {
  std::vector<uint32_t> ids;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    uint32_t id = 0;
    if (!absl::SimpleAtoi(part, &id)) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected token ids like 1,2,3, got '", part, "'"));
    }
    ids.push_back(id);
  }
  return ids;
}

}  // namespace blockserve
